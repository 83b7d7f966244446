//! What the votes on a plan come to.

use std::collections::BTreeSet;

use super::Policy;
use crate::run::{Vote, VoteKind};

/// How far an approval is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Approvals in each stage.
    pub approvals: Vec<u32>,
    /// The stage that is asked; as many as there are stages once all have their approvals.
    pub stage: usize,
}

/// Counts the votes for `policy`, all of which are on the same plan. Two votes for one place (an approver's
/// and that of the person who stands in for them) count once.
pub fn tally(policy: &Policy, votes: &[Vote]) -> Tally {
    let mut places: Vec<BTreeSet<String>> = vec![BTreeSet::new(); policy.stages.len()];
    for vote in votes {
        if vote.kind == VoteKind::Approve
            && let Some(places) = places.get_mut(vote.stage as usize)
        {
            places.insert(vote.place());
        }
    }
    let approvals: Vec<u32> = places.iter().map(|places| places.len() as u32).collect();
    let full = |(stage, count): (&super::Stage, &u32)| *count >= stage.count;
    let stage = policy
        .stages
        .iter()
        .zip(&approvals)
        .position(|pair| !full(pair))
        .unwrap_or(policy.stages.len());
    Tally { approvals, stage }
}

#[cfg(test)]
mod tests;
