//! The HTTP API: routes by resource, extractors, tokens, errors, OpenAPI, and how it is served.

pub mod auth;
pub mod catalogue;
pub mod config;
pub mod courier;
pub mod error;
pub mod hosting;
pub mod measured;
pub mod metrics;

mod admission;
mod deciding;
mod docs;
mod drain;
mod extract;
mod forms;
mod observe;
mod offload;
mod pokes;
mod policies;
mod readiness;
mod routes;
mod serve;
mod state;
mod surface;
mod view;

pub use config::{ApiConfig, Connections, Limits};
pub use courier::{Courier, EgressAllow, Reach, Smtp};
pub use hosting::Hosting;
pub use metrics::Metrics;
pub use serve::serve;
pub use state::{AppState, Parts};
pub use surface::router;
