//! A policy as a flow or an organization gives it, laid on the organization's floor.

use super::{Audience, Mode, OnExpiry, Policy, Stage};

/// What a flow, a task operation or an organization says about approval; what it leaves out is as the floor
/// has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySpec {
    pub mode: Option<Mode>,
    /// In order. None: as the floor has them.
    pub stages: Option<Vec<StageSpec>>,
    pub distinct_from_requester: Option<bool>,
    pub distinct_from_author: Option<bool>,
    pub distinct_approvers: Option<bool>,
    pub reason_required: Option<bool>,
    pub expires_in_ms: Option<u64>,
    pub on_expiry: Option<OnExpiry>,
    pub escalate_to: Option<Audience>,
    pub remind_before_ms: Option<Vec<u64>>,
    pub standing: Option<bool>,
}

/// A stage as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageSpec {
    /// None where there is only one.
    pub name: Option<String>,
    pub count: u32,
    pub approvers: Audience,
}

/// A setting by which a flow asks for less than its organization: allowed to an admin, and noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loosened(pub &'static str);

impl PolicySpec {
    /// This laid on `floor`, and by which settings it asks for less. It asks for the floor's stages, too,
    /// unless one of its own stands for each: as many approvals or more, by none but its approvers.
    pub fn on(&self, floor: &Policy) -> (Policy, Vec<Loosened>) {
        let mut loosened = Vec::new();
        let mut note = |looser: bool, field: &'static str| {
            if looser {
                loosened.push(Loosened(field));
            }
        };
        let mode = self.mode.unwrap_or(floor.mode);
        note(mode == Mode::None && floor.mode == Mode::Required, "mode");
        let stricter = |own: Option<bool>, least: bool| own.unwrap_or(least);
        let distinct_from_requester =
            stricter(self.distinct_from_requester, floor.distinct_from_requester);
        let distinct_from_author = stricter(self.distinct_from_author, floor.distinct_from_author);
        let distinct_approvers = stricter(self.distinct_approvers, floor.distinct_approvers);
        let reason_required = stricter(self.reason_required, floor.reason_required);
        note(
            floor.distinct_from_requester && !distinct_from_requester,
            "distinct_from_requester",
        );
        note(
            floor.distinct_from_author && !distinct_from_author,
            "distinct_from_author",
        );
        note(
            floor.distinct_approvers && !distinct_approvers,
            "distinct_approvers",
        );
        note(floor.reason_required && !reason_required, "reason_required");
        let expires_in_ms = self.expires_in_ms.or(floor.expires_in_ms);
        note(
            matches!((floor.expires_in_ms, expires_in_ms), (Some(least), Some(own)) if own > least),
            "expires_in_seconds",
        );
        let on_expiry = self.on_expiry.unwrap_or(floor.on_expiry);
        note(
            on_expiry == OnExpiry::Approve && floor.on_expiry != OnExpiry::Approve,
            "on_expiry",
        );
        let escalate_to = self
            .escalate_to
            .clone()
            .unwrap_or_else(|| floor.escalate_to.clone());
        // Others than the floor's approvers could answer after a while.
        let named = floor
            .stages
            .iter()
            .any(|stage| !stage.approvers.is_anyone());
        let as_floor =
            floor.on_expiry == OnExpiry::Escalate && escalate_to.within(&floor.escalate_to);
        note(
            on_expiry == OnExpiry::Escalate && named && !as_floor,
            "escalate_to",
        );
        let standing = self.standing.unwrap_or(floor.standing);
        note(standing && !floor.standing, "standing");
        let policy = Policy {
            mode,
            stages: self.stages_on(floor),
            distinct_from_requester,
            distinct_from_author,
            distinct_approvers,
            reason_required,
            expires_in_ms,
            on_expiry,
            escalate_to,
            remind_before_ms: self
                .remind_before_ms
                .clone()
                .map(earliest_first)
                .unwrap_or_else(|| floor.remind_before_ms.clone()),
            standing,
        };
        (policy, loosened)
    }

    fn stages_on(&self, floor: &Policy) -> Vec<Stage> {
        let Some(own) = &self.stages else {
            return floor.stages.clone();
        };
        let only = own.len() == 1;
        let mut stages: Vec<Stage> = own
            .iter()
            .enumerate()
            .map(|(at, stage)| Stage {
                name: match &stage.name {
                    Some(name) => name.clone(),
                    None if only => Stage::ONLY.to_owned(),
                    None => format!("stage {}", at + 1),
                },
                count: stage.count.max(1),
                approvers: stage.approvers.clone(),
            })
            .collect();
        for least in &floor.stages {
            let stands_for = |stage: &Stage| {
                stage.count >= least.count && stage.approvers.within(&least.approvers)
            };
            if !stages.iter().any(stands_for) {
                let mut least = least.clone();
                while stages.iter().any(|stage| stage.name == least.name) {
                    least.name = format!("organization: {}", least.name);
                }
                stages.push(least);
            }
        }
        stages
    }
}

fn earliest_first(mut before: Vec<u64>) -> Vec<u64> {
    before.sort_unstable_by(|a, b| b.cmp(a));
    before.dedup();
    before
}
