//! The pages of links: plain HTML without a script, nothing in it that is not escaped.

mod fields;
mod plan;

use std::sync::LazyLock;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use neena_engine::{Fault, Micros};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::field;
use super::open::Opened;
use crate::error::ApiError;
use crate::state::AppState;
pub(super) use fields::Fields;

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}\
    table{border-collapse:collapse;width:100%}td,th{border:1px solid #999;padding:.3rem .6rem;text-align:left;\
    vertical-align:top}pre{white-space:pre-wrap;word-break:break-word;margin:0}textarea{width:100%}\
    button{font:inherit;padding:.5rem 1.5rem;margin-right:1rem}.fault{border:2px solid #a00;padding:.5rem}";

/// Nothing but this style, and forms that lead back here.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    )
});

/// Something a page says, with its status.
#[derive(Clone, Debug)]
pub(super) struct Told {
    status: StatusCode,
    title: &'static str,
    text: std::borrow::Cow<'static, str>,
}

impl Told {
    const fn new(status: StatusCode, title: &'static str, text: &'static str) -> Told {
        Told {
            status,
            title,
            text: std::borrow::Cow::Borrowed(text),
        }
    }

    pub(super) const UNKNOWN: Told = Told::new(
        StatusCode::NOT_FOUND,
        "No such link",
        "This link is not one of ours, or it is not complete. Copy it from the e-mail as a whole.",
    );
    pub(super) const EXPIRED: Told = Told::new(
        StatusCode::GONE,
        "The link has expired",
        "The time in which it could decide is over.",
    );
    pub(super) const STALE: Told = Told::new(
        StatusCode::PRECONDITION_FAILED,
        "Another plan",
        "The run has another plan than the one this link is for.",
    );
    pub(super) const MOVED_ON: Told = Told::new(
        StatusCode::CONFLICT,
        "Another stage is asked",
        "The stage this link is for has been decided; another one is asked now.",
    );
    pub(super) const DECIDED: Told = Told::new(
        StatusCode::CONFLICT,
        "Decided",
        "This was decided already, or is not asked any more.",
    );
    pub(super) const GONE: Told = Told::new(
        StatusCode::NOT_FOUND,
        "Nothing to decide",
        "What this link is for is not there any more.",
    );
    pub(super) const NO_APPROVER: Told = Told::new(
        StatusCode::FORBIDDEN,
        "You may not approve",
        "The person this link is for may not approve any more.",
    );
    pub(super) const TOO_LARGE: Told = Told::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "Too large",
        "What was sent is larger than a form of ours.",
    );

    /// The link was used, where it is known for what.
    pub(super) fn used(decision: Option<&str>) -> Told {
        let text = match decision {
            Some("approve") => "It was used to approve. A link decides once.",
            Some("reject") => "It was used to reject. A link decides once.",
            _ => "A link decides once.",
        };
        Told::new(StatusCode::GONE, "The link was used", text)
    }

    pub(super) fn refused(status: StatusCode, why: String) -> Told {
        Told {
            status,
            title: "Nothing was decided",
            text: why.into(),
        }
    }

    pub(super) fn thanks(word: &str, opened: &Opened) -> Told {
        let name = &opened.plan.head.flow_name;
        let gate = opened.gate.as_ref();
        let about = gate.map_or_else(|| name.clone(), |gate| format!("{gate} of {name}"));
        let (title, text) = match word {
            "approve" => ("Approved", format!("You approved {about}.")),
            _ => ("Rejected", format!("You rejected {about}.")),
        };
        Told {
            status: StatusCode::OK,
            title,
            text: text.into(),
        }
    }
}

/// The page that says it.
pub(super) fn told(what: &Told) -> Response {
    let body = format!("<h1>{}</h1><p>{}</p>", what.title, escaped(&what.text));
    page(what.status, what.title, &body)
}

/// The page of a request that failed.
pub(super) fn failed(error: ApiError) -> Response {
    let answer = error.into_response();
    let later = answer.headers().get(RETRY_AFTER).cloned();
    let (title, text) = match answer.status() {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => (
            "Not now",
            "The server is busy. Load this page again in a moment: it shows whether the decision was made.",
        ),
        _ => (
            "That failed",
            "The server made a mistake. It has been noted.",
        ),
    };
    let mut shown = told(&Told::new(answer.status(), title, text));
    if let Some(later) = later {
        shown.headers_mut().insert(RETRY_AFTER, later);
    }
    shown
}

/// What was sent by a form, and is wrong.
pub(super) struct Sent<'b> {
    pub(super) form: &'b [u8],
    pub(super) faults: Vec<Fault>,
}

/// The plan, and the form that decides; with what was sent before and what was wrong with it.
pub(super) async fn form(
    app: &AppState,
    opened: &Opened,
    token: &str,
    sent: Option<&Sent<'_>>,
) -> Result<Response, ApiError> {
    let head = &opened.plan.head;
    let fields = opened.schema().and_then(Fields::of);
    let faults = sent.map_or(&[][..], |sent| &sent.faults);
    let mut body = format!("<h1>{}</h1>", escaped(&head.flow_name));
    if !faults.is_empty() {
        let beside = |fault: &&Fault| fields.as_ref().is_some_and(|fields| fields.tell(fault));
        let mut said: Vec<&str> = faults
            .iter()
            .filter(|fault| !beside(fault))
            .map(|fault| fault.msg.as_str())
            .collect();
        if said.is_empty() {
            said.push("Something below is not filled in as it is asked for");
        }
        let said = escaped(&said.join("; "));
        body.push_str(&format!("<p class=\"fault\">{said}</p>"));
    }
    body.push_str(&plan::facts(opened));
    body.push_str(&plan::changes(app, opened).await?);
    body.push_str(&plan::operations(opened));
    let answer = match (&fields, opened.schema()) {
        (Some(fields), _) => fields.html(&filled(opened, fields, sent), faults),
        (None, Some(schema)) => as_json(opened, schema, sent),
        (None, None) => String::new(),
    };
    let needed = if opened.reason_required {
        " (needed)"
    } else {
        ""
    };
    let comment = sent.and_then(|sent| field(sent.form, "comment"));
    body.push_str(&format!(
        "<h2>Decide</h2><p>As {}, until {}. Once.</p><form method=\"post\" action=\"?\">\
         <input type=\"hidden\" name=\"token\" value=\"{}\">{answer}\
         <p><label for=\"comment\">Reason{needed}:</label></p>\
         <textarea id=\"comment\" name=\"comment\" rows=\"3\">\n{}</textarea>\
         <p><button name=\"decision\" value=\"approve\">Approve</button>\
         <button name=\"decision\" value=\"reject\">Reject</button></p></form>",
        escaped(&opened.link.recipient),
        Micros(opened.link.expires_at),
        escaped(token),
        escaped(comment.as_deref().unwrap_or_default()),
    ));
    let status = match sent {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    Ok(page(status, &head.flow_name, &body))
}

/// What the fields hold: what was sent, else what an approver before filled in.
fn filled(opened: &Opened, fields: &Fields<'_>, sent: Option<&Sent<'_>>) -> Value {
    match sent {
        Some(sent) => fields.read(|name| field(sent.form, name)),
        None => serde_json::from_str(earlier(opened)).unwrap_or_else(|_| json!({})),
    }
}

/// What an approver before filled in.
fn earlier(opened: &Opened) -> &str {
    let ask = opened.ask.as_ref();
    ask.and_then(|ask| ask.answer.as_deref()).unwrap_or("{}")
}

/// A schema that takes more than fields.
fn as_json(opened: &Opened, schema: &Value, sent: Option<&Sent<'_>>) -> String {
    let sent = sent.and_then(|sent| field(sent.form, "answer"));
    format!(
        "<p><label for=\"answer\">Fill in, as JSON that fits this schema:</label></p><pre>{}</pre>\
         <textarea id=\"answer\" name=\"answer\" rows=\"6\">\n{}</textarea>",
        escaped(&plan::pretty(schema)),
        escaped(sent.as_deref().unwrap_or_else(|| earlier(opened))),
    )
}

fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"robots\" content=\"noindex\">\
         <title>{}</title><style>{STYLE}</style></head><body>{body}</body></html>",
        escaped(title)
    );
    let policy = HeaderValue::from_str(&POLICY)
        .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
    let fixed = HeaderValue::from_static;
    let headers = [
        (CONTENT_TYPE, fixed("text/html; charset=utf-8")),
        (CACHE_CONTROL, fixed("no-store")),
        (REFERRER_POLICY, fixed("no-referrer")),
        (X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
        (X_FRAME_OPTIONS, fixed("DENY")),
        (CONTENT_SECURITY_POLICY, policy),
    ];
    (status, headers, text).into_response()
}

/// Text as HTML shows it, in elements and in quoted attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}
