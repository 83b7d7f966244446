//! Statuses as the contract prints them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is none of a status's words.
#[derive(Debug, thiserror::Error)]
#[error("unknown status `{0}`")]
pub struct UnknownStatus(pub String);

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($variant),* }

        impl $name {
            /// The word for it in the contract and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownStatus;
            fn from_str(text: &str) -> Result<Self, UnknownStatus> {
                match text {
                    $($word => Ok($name::$variant),)*
                    other => Err(UnknownStatus(other.to_owned())),
                }
            }
        }
    )*};
}

statuses! {
    /// Where a run is.
    RunStatus {
        Pending = "pending",
        InProgress = "in_progress",
        Completed = "completed",
        Failed = "failed",
        Cancelled = "cancelled",
    }
    /// What was decided about a run; absent while nothing was.
    ApprovalStatus {
        Approved = "approved",
        Rejected = "rejected",
    }
    /// Where a task run is.
    TaskStatus {
        Pending = "pending",
        InProgress = "in_progress",
        Completed = "completed",
        Failed = "failed",
        Cancelled = "cancelled",
        Skipped = "skipped",
    }
}

impl RunStatus {
    /// Whether the run is over; a final status changes only by an explicit retry.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled
        )
    }
}

impl TaskStatus {
    /// Whether it is an outcome: written once per round.
    pub const fn is_outcome(self) -> bool {
        !matches!(self, TaskStatus::Pending | TaskStatus::InProgress)
    }
}
