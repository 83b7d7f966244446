//! What a failpoint of the store does: `return(abort)` ends the process, `return` makes the call fail.

use crate::StoreError;

/// The error of a failpoint; with the argument `abort` there is nobody to get it.
pub(crate) fn error(what: Option<&str>, error: fn(String) -> StoreError) -> StoreError {
    if what == Some("abort") {
        std::process::abort();
    }
    error("a failpoint".to_owned())
}
