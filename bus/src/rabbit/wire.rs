//! What a message carries beside its body: properties and headers, and the signature among them.

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use uuid::Uuid;

use super::publisher::Letter;
use crate::remote::TaskKeys;

/// The header that holds the signature.
pub(super) const SIGNATURE: &str = "neena-signature";
/// The header of an order that says whose key signed it; other messages say so themselves.
pub(super) const INTEGRATION: &str = "neena-integration";
/// Delivery mode of messages that survive a restart of the broker.
const PERSISTENT: u8 = 2;

/// The properties of every message: JSON, persistent, of a type.
pub(super) fn properties(id: Uuid, kind: &str) -> BasicProperties {
    BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into())
        .with_message_id(id.to_string().into())
        // A type too long for the protocol is not said; the body says it.
        .with_type(ShortString::try_new(kind).unwrap_or_default())
}

/// A message to one queue, signed with the key of an integration.
pub(super) fn signed(
    keys: &TaskKeys,
    integration: &str,
    queue: ShortString,
    properties: BasicProperties,
    id: Uuid,
    body: Vec<u8>,
) -> Letter {
    let mut headers = FieldTable::default();
    headers.insert(SIGNATURE.into(), text(&keys.of(integration).sign(&body)));
    headers.insert(INTEGRATION.into(), text(integration));
    Letter {
        id,
        exchange: ShortString::default(),
        routing_key: queue,
        mandatory: true,
        properties: properties.with_headers(headers),
        body,
    }
}

/// Whether a delivery was signed with the key of an integration.
pub(super) fn check(keys: &TaskKeys, integration: &str, delivery: &Delivery) -> Result<(), String> {
    let signature = header(delivery, SIGNATURE).unwrap_or_default();
    match keys.of(integration).signed(&delivery.data, signature) {
        true => Ok(()),
        false => Err(format!("not signed with the key of {integration:?}")),
    }
}

/// A header that is a text.
pub(super) fn header<'a>(delivery: &'a Delivery, name: &str) -> Option<&'a [u8]> {
    let headers = delivery.properties.headers().as_ref()?;
    match headers.inner().get(name)? {
        AMQPValue::LongString(value) => Some(value.as_bytes()),
        _ => None,
    }
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}
