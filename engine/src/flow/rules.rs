//! When an operation may start, and what one failure means for the rest.

use serde::{Deserialize, Serialize};

/// Which ends of its upstream operations let an operation start. All of them must have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerRule {
    /// Every one completed.
    #[default]
    AllSuccess,
    /// However they ended.
    AllDone,
    /// At least one completed.
    AnySuccess,
    /// None failed; skipped ones are fine.
    NoneFailed,
}

/// What a failed operation means for the rest of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Nothing new starts; what runs may finish.
    #[default]
    Stop,
    /// Branches that do not depend on it go on.
    Continue,
}
