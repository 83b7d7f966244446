//! Who must approve what, and what their votes come to. One policy engine for a run's plan, for a gate inside
//! it, and for a standing approval; pure, so that every way in gives the same answer.

mod ask;
mod authorize;
pub mod chain;
mod person;
mod policy;
mod spec;
mod tally;
mod tighten;

pub use ask::{Ask, AskState, Asked, Subject, Tell};
pub use authorize::{Denied, Right, among, may_approve, may_reject};
pub use person::{Origin, Party, Person, Principal, Roles};
pub use policy::{Audience, Mode, OnExpiry, Policy, Stage};
pub use spec::{Loosened, PolicySpec, StageSpec};
pub use tally::{Tally, tally};

pub(crate) use policy::stored_policy;
