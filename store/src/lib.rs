//! Where runs live: entities, queries by intent, the one write path, the journal, the outbox.

pub mod db;
pub mod entities;
pub mod error;
pub mod queries;
pub mod queries;
pub mod seam;

mod checkpoint;
mod writer;

pub use db::{Commits, Db, Durability};
pub use error::{Res, StoreError};
pub use seam::*;
