//! The API's settings, one struct per concern.

use std::time::Duration;

use crate::auth::TokenRules;

/// How the API is served.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// How bearer tokens are checked.
    pub tokens: TokenRules,
    pub connections: Connections,
}

/// Limits on what clients may hold open.
#[derive(Clone, Copy, Debug)]
pub struct Connections {
    /// Connections served at a time; further ones wait to be accepted.
    pub most: usize,
    /// How long a client may take to send a request's head.
    pub header_timeout: Duration,
    /// How long requests under way may take once the server is told to stop.
    pub grace: Duration,
}

impl Default for Connections {
    fn default() -> Connections {
        Connections {
            most: 4_096,
            header_timeout: Duration::from_secs(10),
            grace: Duration::from_secs(30),
        }
    }
}
