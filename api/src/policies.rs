//! Policies as clients write and read them, and the organization's, on which every other is laid.

mod body;
mod faults;
mod floor;
mod view;

pub(crate) use body::{Approval, later_settings};
pub(crate) use floor::{floor, floor_of, hold, lay, stored, unchecked};
pub(crate) use view::PolicyView;

/// Milliseconds as seconds: a whole number where they are whole.
pub(crate) fn seconds(ms: u64) -> serde_json::Number {
    if ms.is_multiple_of(1_000) {
        return (ms / 1_000).into();
    }
    // These times are at most a year: a double holds them.
    serde_json::Number::from_f64(ms as f64 / 1_000.0).unwrap_or_else(|| (ms / 1_000).into())
}
