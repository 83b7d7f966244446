//! The API's settings, one struct per concern.

use std::time::Duration;

use crate::auth::TokenRules;
use crate::courier::Reach;

/// How the API is served.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// How bearer tokens are checked.
    pub tokens: TokenRules,
    pub connections: Connections,
    pub limits: Limits,
    /// The first word of every queue of this installation; `neena` unless several share a broker.
    pub queue_prefix: String,
    /// How people are reached.
    pub reach: Reach,
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

/// Limits on what is worked on at a time in this process. Beyond them a request is answered with a 503 and
/// `Retry-After`, before anything is done.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests that read, served at a time.
    pub reads: usize,
    /// Requests that write, served at a time: enough of them to share their commits.
    pub writes: usize,
    /// Further ones that may wait, of either kind.
    pub waiting: usize,
    /// Longest time one waits.
    pub patience: Duration,
    /// Requests a second of one user, and as many in a burst, beyond which the answer is a 429; 0: no limit.
    pub rate: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            reads: 64,
            writes: 128,
            waiting: 512,
            patience: Duration::from_secs(1),
            rate: 0,
        }
    }
}
