//! Where runs live: entities, queries by intent, the one write path, the journal, the outbox.

pub mod api;
