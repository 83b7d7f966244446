//! `flow_result.body`, as the contract words it.
pub fn result_body() {}
pub fn failure_body() {}
