//! The worker against real executors.

#![expect(clippy::unwrap_used, reason = "tests")]

mod executors {
    mod builtin;
    mod calls;
    mod faults;
    mod harness;
    mod loading;
    mod pool;
}
