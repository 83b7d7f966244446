//! E-mail to one person, with the link that lets them decide where they may.

use std::fmt::Write;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::PoolConfig;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use neena_engine::Micros;
use neena_store::entities::delivery;
use neena_store::queries::reaching::links;

use super::notice::{Data, Notice, What};
use super::{Smtp, Undelivered};
use crate::state::AppState;

/// Connections kept to the mail server.
const CONNECTIONS: u32 = 4;
/// Most characters of a flow's name in a subject.
const LONGEST_SUBJECT: usize = 120;

/// What sends e-mail.
#[derive(Clone, Debug)]
pub(crate) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// Settings by which no e-mail can be sent.
#[derive(Debug, thiserror::Error)]
pub enum BadMail {
    #[error("the URL of the mail server: {0}")]
    Url(#[from] lettre::transport::smtp::Error),
    #[error("the sender of e-mail: {0}")]
    From(#[from] lettre::address::AddressError),
}

impl Mailer {
    pub(crate) fn new(smtp: &Smtp, timeout: Duration) -> Result<Mailer, BadMail> {
        let pool = PoolConfig::new().max_size(CONNECTIONS);
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(&smtp.url)?
            .timeout(Some(timeout))
            .pool_config(pool)
            .build();
        Ok(Mailer {
            transport,
            from: smtp.from.parse()?,
        })
    }
}

/// Sends a notice to `recipient`.
pub(super) async fn send(
    app: &AppState,
    delivery: &delivery::Model,
    recipient: &str,
    notice: &Notice,
) -> Result<(), Undelivered> {
    let mailer = app
        .reaching()
        .mailer()
        .ok_or_else(|| Undelivered::Later("this server sends no e-mail".to_owned()))?;
    let link = match delivery.link_id {
        Some(id) => links::find(app.db().reader(), id)
            .await
            .map_err(|error| Undelivered::Later(error.to_string()))?,
        None => None,
    };
    let base = app.config().reach.public_url.as_deref();
    let link = link.zip(base).map(|(link, base)| {
        let token = app.reaching().keys().token(&link);
        let base = base.trim_end_matches('/');
        let url = format!("{base}/api/v1/approvals/link?token={token}");
        (url, Micros(link.expires_at))
    });
    let to = recipient
        .parse()
        .map_err(|error| Undelivered::Never(format!("no address: {error}")))?;
    let message = Message::builder()
        .from(mailer.from.clone())
        .to(Mailbox::new(None, to))
        .subject(subject(&notice.data, &delivery.event))
        .message_id(Some(format!("<{}@neena>", delivery.id)))
        .header(ContentType::TEXT_PLAIN)
        .body(text(&notice.data, link))
        .map_err(|error| Undelivered::Never(error.to_string()))?;
    match mailer.transport.send(message).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_permanent() => Err(Undelivered::Never(error.to_string())),
        Err(error) => Err(Undelivered::Later(error.to_string())),
    }
}

fn subject(data: &Data, event: &str) -> String {
    let name: String = data
        .flow_name
        .chars()
        .filter(|letter| !letter.is_control())
        .take(LONGEST_SUBJECT)
        .collect();
    match (&data.what, event) {
        (What::Decided { decision, .. }, _) => match decision.as_str() {
            "approve" => format!("Approved: {name}"),
            "reject" => format!("Rejected: {name}"),
            _ => format!("Nobody answered in time: {name}"),
        },
        (_, "reminder") => format!("Still waits for your approval: {name}"),
        (_, "escalated") => format!("Escalated, waits for approval: {name}"),
        _ => format!("Waits for your approval: {name}"),
    }
}

fn text(data: &Data, link: Option<(String, Micros)>) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{} asks to run `{}`:\n\n{}\n",
        data.triggered_by,
        data.flow_name,
        indented(&data.request_instructions)
    );
    if let Some(gate) = &data.gate {
        let _ = writeln!(text, "Gate:  {gate}");
    }
    if let Some(stage) = &data.stage {
        let _ = writeln!(text, "Stage: {stage}");
    }
    let _ = writeln!(text, "Run:   {}\nPlan:  {}", data.flow_run, data.plan_hash);
    match &data.what {
        What::Asked { due_time, .. } => {
            if let Some(due) = due_time {
                let _ = writeln!(text, "Until: {}", due.0);
            }
            let _ = match link {
                Some((url, until)) => write!(
                    text,
                    "\nSee the plan and decide:\n{url}\n\nThe link is yours alone. It decides once, and not after \
                     {until}. Looking at it decides nothing.\n"
                ),
                None => write!(
                    text,
                    "\nTo decide, sign in with a token that grants `approve`:\nneena approve {}\n",
                    data.flow_run
                ),
            };
        }
        What::Decided {
            result,
            actor_email,
            comment,
            ..
        } => {
            let by = actor_email.as_deref().unwrap_or("nobody");
            let _ = writeln!(text, "By:    {by}\nHence: {result}");
            if let Some(comment) = comment {
                let _ = writeln!(text, "\n{}", indented(comment));
            }
        }
    }
    text
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("    {line}")).collect();
    lines.join("\n")
}
