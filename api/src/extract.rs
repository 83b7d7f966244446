//! What handlers take from a request: its JSON body, its query, and its idempotency key.

mod body;
mod exact;
mod offset;
mod post;
mod query;
mod schema;

pub(crate) use body::{Body, OptionalBody, Payload, checked, payload, within};
pub(crate) use post::{Once, Post};
pub(crate) use query::{Pairs, Query, QueryParameters};
pub(crate) use schema::BodySchema;
