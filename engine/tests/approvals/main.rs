//! Random policies, people and words, held against a small model written on its own: when a plan or a gate is
//! approved or rejected, that nobody counts who must not, that the way in plays no part, and that what is decided
//! stays decided.
#![expect(clippy::unwrap_used, reason = "tests")]

mod case;
mod engine;
mod model;
mod properties;
