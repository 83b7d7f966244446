//! A policy as a flow or an organization gives it, laid on the organization's floor.

use std::collections::BTreeSet;

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
    /// This laid on `floor`, and by which settings it asks for less; there is no less than a floor that asks
    /// nobody. It asks for the floor's stages, too, except for those that one of its own stands for: as many
    /// approvals or more, by none but its approvers.
    pub fn on(&self, floor: &Policy) -> (Policy, Vec<Loosened>) {
        let mut loosened = Vec::new();
        let mut note = |looser: bool, field: &'static str| {
            if looser && floor.mode == Mode::Required {
                loosened.push(Loosened(field));
            }
        };
        let mode = self.mode.unwrap_or(floor.mode);
        note(mode == Mode::None, "mode");
        let distinct_from_requester = self
            .distinct_from_requester
            .unwrap_or(floor.distinct_from_requester);
        let distinct_from_author = self
            .distinct_from_author
            .unwrap_or(floor.distinct_from_author);
        let distinct_approvers = self.distinct_approvers.unwrap_or(floor.distinct_approvers);
        let reason_required = self.reason_required.unwrap_or(floor.reason_required);
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
        let on_expiry = self.on_expiry.unwrap_or(floor.on_expiry);
        // It is approved by time, or can be answered for as long again.
        let looser = match (on_expiry, floor.on_expiry) {
            (OnExpiry::Approve, least) => least != OnExpiry::Approve,
            (OnExpiry::Escalate, OnExpiry::Reject) => {
                twice(expires_in_ms) > floor.expires_in_ms.unwrap_or(u64::MAX)
            }
            _ => false,
        };
        note(looser, "on_expiry");
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
        // An answer counts for longer, or it is sooner done without those who should give it.
        let limits = [expires_in_ms, floor.expires_in_ms].map(|limit| limit.unwrap_or(u64::MAX));
        let without = match on_expiry {
            OnExpiry::Reject => false,
            OnExpiry::Escalate => named,
            OnExpiry::Approve => true,
        };
        note(
            limits[0] > limits[1] || limits[0] < limits[1] && without,
            "expires_in_seconds",
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
        let given = |name: &str| own.iter().any(|stage| stage.name.as_deref() == Some(name));
        let mut stages: Vec<Stage> = own
            .iter()
            .enumerate()
            .map(|(at, stage)| Stage {
                name: match &stage.name {
                    Some(name) => name.clone(),
                    None if only => Stage::ONLY.to_owned(),
                    None => free(format!("stage {}", at + 1), "another ", given),
                },
                count: stage.count.max(1),
                approvers: stage.approvers.clone(),
            })
            .collect();
        for mut least in not_stood_for(&floor.stages, &stages) {
            let taken = |name: &str| stages.iter().any(|stage| stage.name == name);
            least.name = free(least.name, "organization: ", taken);
            stages.push(least);
        }
        stages
    }
}

/// The stages of `floor` for which none of `own` stands. Each of `own` stands for one at most: where two
/// approvals are asked for, one is not enough.
fn not_stood_for(floor: &[Stage], own: &[Stage]) -> Vec<Stage> {
    let mut stands_for = vec![None; own.len()];
    let places =
        (0..floor.len()).map(|at| place(at, floor, own, &mut stands_for, &mut BTreeSet::new()));
    let placed: Vec<bool> = places.collect();
    let left = floor.iter().zip(placed).filter(|(_, placed)| !placed);
    left.map(|(stage, _)| stage.clone()).collect()
}

/// Finds one of `own` to stand for the floor's stage at `at`, moving others where they fit elsewhere (Kuhn 1955).
fn place(
    at: usize,
    floor: &[Stage],
    own: &[Stage],
    stands_for: &mut [Option<usize>],
    tried: &mut BTreeSet<usize>,
) -> bool {
    let fits = |stage: &Stage| {
        stage.count >= floor[at].count && stage.approvers.within(&floor[at].approvers)
    };
    for (mine, _) in own.iter().enumerate().filter(|(_, stage)| fits(stage)) {
        if !tried.insert(mine) {
            continue;
        }
        let free = match stands_for[mine] {
            None => true,
            Some(other) => place(other, floor, own, stands_for, tried),
        };
        if free {
            stands_for[mine] = Some(at);
            return true;
        }
    }
    false
}

/// The name with as many prefixes as it takes until it is not `taken`.
fn free(mut name: String, prefix: &str, taken: impl Fn(&str) -> bool) -> String {
    while taken(&name) {
        name = format!("{prefix}{name}");
    }
    name
}

/// For how long an answer counts that is put to others after its time.
fn twice(expires_in_ms: Option<u64>) -> u64 {
    expires_in_ms.map_or(u64::MAX, |limit| limit.saturating_mul(2))
}

fn earliest_first(mut before: Vec<u64>) -> Vec<u64> {
    before.sort_unstable_by(|a, b| b.cmp(a));
    before.dedup();
    before
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
