//! Who calls and what they may do: tokens, permissions, and the caller a handler is given.

pub mod local;

mod accounts;
mod bearer;
mod caller;
mod permission;
mod secret;
mod token;

pub(crate) use accounts::Accounts;
pub(crate) use bearer::{Guard, authenticate};
pub use caller::Caller;
pub use permission::{Permission, Permissions, UnknownPermission};
pub use secret::{Secret, WeakSecret};
pub use token::{BadToken, Identity, TokenRules, Verifier};
