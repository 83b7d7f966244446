//! What handlers take from a request: its JSON body, its query, and its idempotency key.

mod body;
mod exact;
mod many;
mod offset;
mod post;
mod query;
mod schema;

pub(crate) use body::{Body, OptionalBody, Payload, checked, payload, within};
pub(crate) use many::{MOST_BYTES, Many, at};
pub(crate) use post::{Once, Post};
pub(crate) use query::{Pairs, Query, QueryParameters};
pub(crate) use schema::BodySchema;
