//! The tables as sea-orm entities: plain columns, statuses as the words of the engine's own types
//! (`as_str` in, `parse` out), times in microseconds since the Unix epoch by the database's clock.

pub mod approval;
pub mod approval_link;
pub mod ask;
pub mod audience;
pub mod decision;
pub mod decision_chain;
pub mod delegation;
pub mod delivery;
pub mod flow;
pub mod flow_request;
pub mod flow_result;
pub mod flow_run;
pub mod flow_version;
pub mod group_member;
pub mod idempotency_key;
pub mod integration;
pub mod live_run;
pub mod notification_hook;
pub mod organization;
pub mod outbox;
pub mod plan_graph;
pub mod run_plan;
pub mod standing_approval;
pub mod standing_use;
pub mod task_attempt;
pub mod task_definition;
pub mod task_run;
pub mod user;
pub mod worker;
