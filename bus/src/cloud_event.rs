//! A message on the wire: CloudEvents 1.0 in JSON. The type is the routing key of the topic exchange.
//!
//! ```json
//! {
//!   "specversion": "1.0",
//!   "id": "01936f5e-…",
//!   "source": "neena",
//!   "type": "flow_run.approved",
//!   "subject": "01936f5d-…",
//!   "time": "2026-11-24T08:10:00.000000Z",
//!   "datacontenttype": "application/json",
//!   "data": {"flow_run": "01936f5d-…", "organization": "01936f00-…", "epoch": 0, "at": 1795507800000000}
//! }
//! ```
//!
//! `id` is the outbox row's: consumers drop one they have seen. `subject` is the run's, `epoch` orders
//! the events of a run: readers drop what is older than what they have.

use neena_engine::Micros;
use neena_engine::ids::{OrganizationId, RunId};
use neena_store::Message;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The wire form of a [`Message`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudEvent {
    specversion: String,
    id: Uuid,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    subject: String,
    time: String,
    datacontenttype: String,
    data: Data,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Data {
    flow_run: RunId,
    organization: OrganizationId,
    epoch: i64,
    at: Micros,
}

/// Bytes that are no message of ours.
#[derive(Debug, thiserror::Error)]
#[error("not a message: {0}")]
pub struct NotAMessage(#[from] serde_json::Error);

impl From<&Message> for CloudEvent {
    fn from(message: &Message) -> CloudEvent {
        CloudEvent {
            specversion: "1.0".to_owned(),
            id: message.id,
            source: "neena".to_owned(),
            kind: message.kind.clone(),
            subject: message.run.to_string(),
            time: message.at.to_string(),
            datacontenttype: "application/json".to_owned(),
            data: Data {
                flow_run: message.run,
                organization: message.organization,
                epoch: message.epoch,
                at: message.at,
            },
        }
    }
}

impl From<CloudEvent> for Message {
    fn from(event: CloudEvent) -> Message {
        Message {
            id: event.id,
            kind: event.kind,
            organization: event.data.organization,
            run: event.data.flow_run,
            epoch: event.data.epoch,
            at: event.data.at,
        }
    }
}

impl CloudEvent {
    /// Reads a body. Fields it does not know are ignored; a version it does not know is an error.
    pub fn parse(body: &[u8]) -> Result<CloudEvent, NotAMessage> {
        let event: CloudEvent = serde_json::from_slice(body)?;
        match event.specversion.as_str() {
            "1.0" => Ok(event),
            other => Err(NotAMessage(serde::de::Error::custom(format_args!(
                "unknown specversion {other:?}"
            )))),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn message() -> Message {
        Message {
            id: Uuid::from_u128(1),
            kind: "flow_run.approved".to_owned(),
            organization: OrganizationId(Uuid::from_u128(2)),
            run: RunId(Uuid::from_u128(3)),
            epoch: 4,
            at: Micros(1_795_507_800_000_001),
        }
    }

    #[test]
    fn a_message_survives_the_wire() {
        let body = serde_json::to_vec(&CloudEvent::from(&message())).unwrap();
        assert_eq!(Message::from(CloudEvent::parse(&body).unwrap()), message());
    }

    #[test]
    fn the_wire_form_is_what_the_documentation_says() {
        let body = serde_json::to_value(CloudEvent::from(&message())).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "specversion": "1.0",
                "id": "00000000-0000-0000-0000-000000000001",
                "source": "neena",
                "type": "flow_run.approved",
                "subject": "00000000-0000-0000-0000-000000000003",
                "time": "2026-11-24T08:10:00.000001Z",
                "datacontenttype": "application/json",
                "data": {
                    "flow_run": "00000000-0000-0000-0000-000000000003",
                    "organization": "00000000-0000-0000-0000-000000000002",
                    "epoch": 4,
                    "at": 1_795_507_800_000_001_i64,
                },
            })
        );
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        assert!(CloudEvent::parse(b"{}").is_err());
        assert!(CloudEvent::parse(b"\xff").is_err());
        let mut body = serde_json::to_value(CloudEvent::from(&message())).unwrap();
        body["specversion"] = "2.0".into();
        let refused = CloudEvent::parse(body.to_string().as_bytes()).unwrap_err();
        assert!(refused.to_string().contains("2.0"), "{refused}");
    }
}
