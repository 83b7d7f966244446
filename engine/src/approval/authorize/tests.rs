use rstest::rstest;
use uuid::Uuid;

use super::super::{Party, Roles, Stage};
use super::*;

/// Somebody by a number: with a user of that id, an e-mail, the permission to approve.
struct Who {
    user: UserId,
    email: String,
    permissions: Vec<String>,
    roles: Roles,
}

fn email(who: u128) -> String {
    format!("{who}@example.com")
}

fn user(who: u128) -> UserId {
    UserId(Uuid::from_u128(who))
}

impl Who {
    fn is(who: u128) -> Who {
        Who {
            user: user(who),
            email: email(who),
            permissions: vec!["approve".to_owned()],
            roles: Roles::default(),
        }
    }

    fn of(mut self, group: &str) -> Who {
        self.roles.groups.push(group.to_owned());
        self
    }

    fn with(mut self, permission: &str) -> Who {
        self.permissions.push(permission.to_owned());
        self
    }

    /// Standing in for somebody who is in these groups.
    fn for_(mut self, who: u128, groups: &[&str]) -> Who {
        self.roles.stands_in_for.push(Principal {
            user: Some(user(who)),
            email: email(who),
            groups: groups.iter().map(ToString::to_string).collect(),
        });
        self
    }

    fn person(&self) -> Person<'_> {
        Person {
            user: self.user,
            email: &self.email,
            permissions: &self.permissions,
            roles: &self.roles,
        }
    }
}

fn party(who: u128) -> Party {
    Party {
        user: Some(user(who)),
        email: email(who),
    }
}

/// Asked for by 8, the flow written by 9.
fn origin() -> Origin {
    Origin {
        requester: party(8),
        author: Some(party(9)),
    }
}

/// `team` is 1 to 4 and the group `dev`, `security` whoever may deploy; nobody approves their own.
fn policy() -> Policy {
    let stage = |name: &str, approvers| Stage {
        name: name.to_owned(),
        count: 1,
        approvers,
    };
    let team = Audience {
        users: [1, 2, 3, 4].map(email).into(),
        groups: vec!["dev".to_owned()],
        permissions: vec![],
    };
    let security = Audience {
        permissions: vec!["deploy".to_owned()],
        users: [1, 2, 3].map(email).into(),
        ..Audience::default()
    };
    Policy {
        stages: vec![stage("team", team), stage("security", security)],
        distinct_from_requester: true,
        distinct_from_author: true,
        ..Policy::quorum(1)
    }
}

fn vote(stage: u32, who: u128, place: Option<u128>) -> Vote {
    Vote {
        approver: user(who),
        email: email(who),
        stands_in_for: place.map(email),
        stage,
        kind: VoteKind::Approve,
    }
}

fn place(right: Result<Right, Denied>) -> Result<Option<String>, &'static str> {
    right
        .map(|right| right.stands_in_for)
        .map_err(|denied| denied.kind())
}

#[rstest]
#[case::by_name(Who::is(1), 0, Ok(None))]
#[case::by_group(Who::is(7).of("dev"), 0, Ok(None))]
#[case::by_permission(Who::is(7).with("deploy"), 1, Ok(None))]
#[case::in_capitals(Who { email: "1@EXAMPLE.com".into(), ..Who::is(1) }, 0, Ok(None))]
#[case::nobody_named(Who::is(7), 0, Err("not_an_approver"))]
#[case::of_another_stage(Who::is(7).of("dev"), 1, Err("not_an_approver"))]
#[case::not_allowed_at_all(Who { permissions: vec![], ..Who::is(1) }, 0, Err("permission"))]
#[case::only_the_other_permission(Who { permissions: vec!["deploy".into()], ..Who::is(1) }, 1, Err("permission"))]
#[case::the_requester(Who::is(8).of("dev"), 0, Err("requester"))]
#[case::the_author(Who::is(9).of("dev"), 0, Err("author"))]
#[case::in_a_place(Who::is(7).for_(1, &[]), 0, Ok(Some(email(1))))]
#[case::in_a_place_by_group(Who::is(7).for_(6, &["dev"]), 0, Ok(Some(email(6))))]
#[case::their_own_place_first(Who::is(2).for_(1, &[]), 0, Ok(None))]
#[case::a_permission_is_not_lent(Who::is(7).for_(6, &["deploy"]), 1, Err("not_an_approver"))]
#[case::the_requester_in_a_place(Who::is(8).for_(1, &[]), 0, Err("requester"))]
#[case::the_authors_place(Who::is(7).for_(9, &["dev"]), 0, Err("not_an_approver"))]
fn whom_a_stage_lets_approve(
    #[case] who: Who,
    #[case] stage: usize,
    #[case] expected: Result<Option<String>, &'static str>,
) {
    let right = may_approve(&policy(), stage, false, &who.person(), &origin(), &[]);
    assert_eq!(place(right), expected);
}

#[test]
fn a_requester_cannot_approve_through_a_delegate() {
    let deputy = Who::is(7).for_(8, &["dev"]);
    let may = |policy: &Policy| {
        place(may_approve(
            policy,
            0,
            false,
            &deputy.person(),
            &origin(),
            &[],
        ))
    };
    assert_eq!(may(&policy()), Err("not_an_approver"));
    // Known by their id, whatever their e-mail is by now.
    let mut renamed = Who::is(7);
    renamed.roles.stands_in_for.push(Principal {
        user: Some(user(8)),
        email: "other@example.com".to_owned(),
        groups: vec!["dev".to_owned()],
    });
    let right = may_approve(&policy(), 0, false, &renamed.person(), &origin(), &[]);
    assert_eq!(place(right), Err("not_an_approver"));
    // Where they could approve themselves, so can who stands in for them.
    let own = Policy {
        distinct_from_requester: false,
        ..policy()
    };
    assert_eq!(may(&own), Ok(Some(email(8))));
}

#[test]
fn who_is_known_by_e_mail_only_is_the_requester_in_any_spelling() {
    let origin = Origin {
        requester: Party {
            user: None,
            email: "Émile@Example.com".to_owned(),
        },
        author: None,
    };
    let who = Who {
        email: "émile@example.com".to_owned(),
        ..Who::is(7).of("dev")
    };
    let right = may_approve(&policy(), 0, false, &who.person(), &origin, &[]);
    assert_eq!(right, Err(Denied::Requester));
}

#[rstest]
#[case::the_approver(vec![vote(0, 1, None)], Who::is(1), Err("approved_before"))]
#[case::the_approver_in_another_place(vec![vote(0, 7, Some(4))], Who::is(7).for_(2, &[]), Err("approved_before"))]
#[case::whose_place_was_taken(vec![vote(0, 7, Some(1))], Who::is(1), Err("approved_before"))]
#[case::the_deputy_of_the_approver(vec![vote(0, 1, None)], Who::is(7).for_(1, &[]), Err("not_an_approver"))]
#[case::the_deputy_of_whose_place_was_taken(vec![vote(0, 7, Some(1))], Who::is(6).for_(1, &[]), Err("not_an_approver"))]
#[case::the_deputy_of_a_deputy_who_approved(vec![vote(0, 2, Some(4))], Who::is(7).for_(2, &[]), Err("not_an_approver"))]
#[case::another_place(vec![vote(0, 1, None)], Who::is(7).for_(1, &[]).for_(2, &[]), Ok(Some(email(2))))]
#[case::somebody_else(vec![vote(0, 1, None)], Who::is(2), Ok(None))]
#[case::a_rejection_is_no_approval(vec![Vote { kind: VoteKind::Reject, ..vote(0, 1, None) }], Who::is(1), Ok(None))]
#[case::in_the_same_stage(vec![vote(1, 1, None)], Who::is(1), Ok(None))]
fn one_person_approves_in_one_stage(
    #[case] votes: Vec<Vote>,
    #[case] who: Who,
    #[case] expected: Result<Option<String>, &'static str>,
) {
    let right = may_approve(&policy(), 1, false, &who.person(), &origin(), &votes);
    assert_eq!(place(right), expected);
    let any = Policy {
        distinct_approvers: false,
        ..policy()
    };
    let right = may_approve(&any, 1, false, &who.person(), &origin(), &votes);
    assert!(right.is_ok(), "{right:?}");
}

#[test]
fn a_place_that_is_free_is_taken_before_one_that_is_not() {
    let deputy = Who::is(7).for_(1, &[]).for_(2, &[]);
    let right = |votes: &[Vote]| {
        place(may_approve(
            &policy(),
            0,
            false,
            &deputy.person(),
            &origin(),
            votes,
        ))
    };
    assert_eq!(right(&[]), Ok(Some(email(1))));
    assert_eq!(right(&[vote(0, 1, None)]), Ok(Some(email(2))));
    assert_eq!(right(&[vote(0, 6, Some(1))]), Ok(Some(email(2))));
}

#[test]
fn escalated_others_may_answer_besides() {
    let mut policy = policy();
    policy.escalate_to.groups = vec!["managers".to_owned()];
    let manager = Who::is(7).of("managers");
    let origin = origin();
    let may = |escalated| {
        let person = manager.person();
        let approve = may_approve(&policy, 0, escalated, &person, &origin, &[]);
        (
            approve.is_ok(),
            may_reject(&policy, escalated, &person).is_ok(),
        )
    };
    assert_eq!(may(false), (false, false));
    assert_eq!(may(true), (true, true));
    let team = Who::is(1);
    assert!(may_approve(&policy, 0, true, &team.person(), &origin, &[]).is_ok());
    // Put to nobody in particular, it is put to whoever may approve.
    policy.escalate_to = Audience::default();
    let anybody = Who::is(7);
    assert!(may_approve(&policy, 0, true, &anybody.person(), &origin, &[]).is_ok());
}

#[rstest]
#[case::of_the_first_stage(Who::is(4), Ok(None))]
#[case::of_a_later_stage(Who::is(7).with("deploy"), Ok(None))]
#[case::the_requester_their_own(Who::is(8).of("dev"), Ok(None))]
#[case::in_a_place(Who::is(7).for_(8, &["dev"]), Ok(Some(email(8))))]
#[case::of_none(Who::is(7), Err("not_an_approver"))]
#[case::not_allowed_at_all(Who { permissions: vec![], ..Who::is(4) }, Err("permission"))]
fn an_approver_of_any_stage_may_reject(
    #[case] who: Who,
    #[case] expected: Result<Option<String>, &'static str>,
) {
    assert_eq!(place(may_reject(&policy(), false, &who.person())), expected);
}
