use rstest::rstest;
use uuid::Uuid;

use super::super::{Audience, Stage};
use super::*;
use crate::ids::UserId;

fn policy(counts: &[u32]) -> Policy {
    let stage = |(at, count): (usize, &u32)| Stage {
        name: format!("stage {at}"),
        count: *count,
        approvers: Audience::default(),
    };
    Policy {
        stages: counts.iter().enumerate().map(stage).collect(),
        ..Policy::quorum(1)
    }
}

/// An approval by somebody, in somebody's place.
fn vote((stage, who, place): (u32, u128, u128)) -> Vote {
    Vote {
        approver: UserId(Uuid::from_u128(who)),
        email: format!("{who}@Example.com"),
        stands_in_for: (place != who).then(|| format!("{place}@example.com")),
        stage,
        kind: VoteKind::Approve,
    }
}

#[rstest]
#[case::none(&[1], &[], &[0], 0)]
#[case::enough(&[1], &[(0, 1, 1)], &[1], 1)]
#[case::too_few(&[2], &[(0, 1, 1)], &[1], 0)]
#[case::two_people(&[2], &[(0, 1, 1), (0, 2, 2)], &[2], 1)]
#[case::more_than_enough(&[1], &[(0, 1, 1), (0, 2, 2)], &[2], 1)]
#[case::somebody_and_their_deputy(&[2], &[(0, 1, 1), (0, 2, 1)], &[1], 0)]
#[case::two_deputies_of_one(&[2], &[(0, 2, 1), (0, 3, 1)], &[1], 0)]
#[case::a_deputy_and_another(&[2], &[(0, 2, 1), (0, 3, 3)], &[2], 1)]
#[case::the_next_stage(&[1, 1], &[(0, 1, 1)], &[1, 0], 1)]
#[case::all_stages(&[1, 1], &[(0, 1, 1), (1, 2, 2)], &[1, 1], 2)]
#[case::one_in_each(&[1, 1], &[(0, 1, 1), (1, 1, 1)], &[1, 1], 2)]
#[case::a_later_one_alone(&[1, 1], &[(1, 1, 1)], &[0, 1], 0)]
#[case::a_stage_that_is_not_there(&[1], &[(7, 1, 1)], &[0], 0)]
fn places_are_counted_stage_by_stage(
    #[case] counts: &[u32],
    #[case] votes: &[(u32, u128, u128)],
    #[case] approvals: &[u32],
    #[case] stage: usize,
) {
    let votes: Vec<Vote> = votes.iter().copied().map(vote).collect();
    let counted = tally(&policy(counts), &votes);
    assert_eq!((&*counted.approvals, counted.stage), (approvals, stage));
}

#[test]
fn a_rejection_counts_for_nothing() {
    let rejection = Vote {
        kind: VoteKind::Reject,
        ..vote((0, 1, 1))
    };
    assert_eq!(tally(&policy(&[1]), &[rejection]).approvals, [0]);
}
