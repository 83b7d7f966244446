//! Where runs live: entities, queries by intent, the one write path, the journal, the outbox.

pub mod db;
pub mod entities;
pub mod error;
pub mod journal;
pub mod memory;
pub mod outlet;
pub mod queries;
pub mod renewal;
pub mod runs;
pub mod seam;
pub mod sql;

mod checkpoint;
mod effect;
#[cfg(feature = "failpoints")]
mod failpoint;
mod rows;
mod writer;

pub use db::{Autocommit, Commits, Connections, Db, Durability, Transaction, now};
pub use error::{Res, StoreError};
pub use journal::{Journal, Pending};
pub use memory::{Flaw, MemoryStore};
pub use outlet::{Outlet, outlet};
pub use runs::NewRun;
pub use seam::*;
pub use sql::{SqlStore, decide_all_within, insert_run, insert_runs, roles};
