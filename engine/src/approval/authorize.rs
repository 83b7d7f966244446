//! The one place that says who may decide. Whatever way a decision comes in by, it is asked here.

use super::{Audience, Origin, Person, Policy, Principal};
use crate::ids::UserId;
use crate::run::{Vote, VoteKind};

/// Why somebody may not decide.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("the permission `approve` is needed")]
    Permission,
    #[error("you cannot approve your own run")]
    Requester,
    #[error("you cannot approve a run of a flow you wrote")]
    Author,
    #[error("you have approved in the stage `{0}`; another one must approve here")]
    ApprovedBefore(String),
    #[error("you are no approver of the stage `{0}`")]
    NotAnApprover(String),
    #[error("the stage `{asked}` is not asked yet: `{current}` is")]
    NotYet { asked: String, current: String },
}

impl Denied {
    /// A stable word for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Denied::Permission => "permission",
            Denied::Requester => "requester",
            Denied::Author => "author",
            Denied::ApprovedBefore(_) => "approved_before",
            Denied::NotAnApprover(_) => "not_an_approver",
            Denied::NotYet { .. } => "not_yet",
        }
    }
}

/// That somebody may decide, and in whose place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// E-mail of the one they stand in for; none: their own place.
    pub stands_in_for: Option<String>,
}

/// Whether `person` may approve in the stage at `stage`, which is there.
pub fn may_approve(
    policy: &Policy,
    stage: usize,
    escalated: bool,
    person: &Person<'_>,
    origin: &Origin,
    votes: &[Vote],
) -> Result<Right, Denied> {
    if !person.may("approve") {
        return Err(Denied::Permission);
    }
    if policy.distinct_from_requester && origin.requester.is(Some(person.user), person.email) {
        return Err(Denied::Requester);
    }
    let by_author = |user, email: &str| {
        let author = origin.author.as_ref();
        policy.distinct_from_author && author.is_some_and(|author| author.is(user, email))
    };
    if by_author(Some(person.user), person.email) {
        return Err(Denied::Author);
    }
    let elsewhere = |user, email: &str| {
        let elsewhere = |vote: &&Vote| vote.stage as usize != stage && approved(vote, user, email);
        let mut votes = votes.iter().filter(|_| policy.distinct_approvers);
        votes.find(elsewhere)
    };
    if let Some(earlier) = elsewhere(Some(person.user), person.email) {
        let name = stage_name(policy, earlier.stage as usize);
        return Err(Denied::ApprovedBefore(name));
    }
    let audience = audience(policy, stage, escalated);
    if includes(&audience, person) {
        return Ok(Right {
            stands_in_for: None,
        });
    }
    // A place that its own holder could not use is lent to nobody.
    let lent = person.roles.stands_in_for.iter().filter(|principal| {
        let (user, email) = (principal.user, principal.email.as_str());
        let own = policy.distinct_from_requester && origin.requester.is(user, email);
        !own && !by_author(user, email)
            && elsewhere(user, email).is_none()
            && names(&audience, email, &principal.groups)
    });
    // One that is free, rather than one for which a vote was cast already.
    let taken = |principal: &&Principal| {
        votes.iter().any(|vote| {
            vote.stage as usize == stage && approved(vote, principal.user, &principal.email)
        })
    };
    match lent.min_by_key(taken) {
        Some(principal) => Ok(Right {
            stands_in_for: Some(principal.email.clone()),
        }),
        None => Err(Denied::NotAnApprover(stage_name(policy, stage))),
    }
}

/// Whether `person` may reject: whoever is an approver of any stage may, their own run included.
pub fn may_reject(policy: &Policy, escalated: bool, person: &Person<'_>) -> Result<Right, Denied> {
    if !person.may("approve") {
        return Err(Denied::Permission);
    }
    let audiences = || (0..policy.stages.len()).map(|at| audience(policy, at, escalated));
    if audiences().any(|audience| includes(&audience, person)) {
        return Ok(Right {
            stands_in_for: None,
        });
    }
    for audience in audiences() {
        for principal in &person.roles.stands_in_for {
            if names(&audience, &principal.email, &principal.groups) {
                return Ok(Right {
                    stands_in_for: Some(principal.email.clone()),
                });
            }
        }
    }
    Err(Denied::NotAnApprover(stage_name(policy, 0)))
}

/// In whose place `person` is one of `audience`; none: they are not. It says nothing about a plan: that is
/// asked when they decide.
pub fn among(audience: &Audience, person: &Person<'_>) -> Option<Right> {
    if includes(audience, person) {
        return Some(Right {
            stands_in_for: None,
        });
    }
    let lent = person
        .roles
        .stands_in_for
        .iter()
        .find(|principal| names(audience, &principal.email, &principal.groups));
    lent.map(|principal| Right {
        stands_in_for: Some(principal.email.clone()),
    })
}

/// Whether `vote` is an approval by this person, in whoever's place, or in this person's place.
fn approved(vote: &Vote, user: Option<UserId>, email: &str) -> bool {
    let email = email.to_lowercase();
    vote.kind == VoteKind::Approve
        && (user == Some(vote.approver)
            || vote.email.to_lowercase() == email
            || vote.place() == email)
}

/// Who may answer in a stage.
pub(super) fn audience(policy: &Policy, stage: usize, escalated: bool) -> Audience {
    let approvers = policy
        .stages
        .get(stage)
        .map(|stage| stage.approvers.clone())
        .unwrap_or_default();
    if escalated {
        approvers.joined(&policy.escalate_to)
    } else {
        approvers
    }
}

fn includes(audience: &Audience, person: &Person<'_>) -> bool {
    audience.is_anyone()
        || names(audience, person.email, &person.roles.groups)
        || audience.permissions.iter().any(|word| person.may(word))
}

fn names(audience: &Audience, email: &str, groups: &[String]) -> bool {
    let email = email.to_lowercase();
    audience.users.contains(&email) || audience.groups.iter().any(|group| groups.contains(group))
}

fn stage_name(policy: &Policy, stage: usize) -> String {
    policy
        .stages
        .get(stage)
        .map(|stage| stage.name.clone())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
