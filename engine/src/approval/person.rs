//! People as policies see them.

use crate::ids::UserId;

/// Somebody named in a plan: by e-mail, and by the user's id where it was known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    pub user: Option<UserId>,
    pub email: String,
}

impl Party {
    /// Whether this is `user`, who may have changed their e-mail since.
    pub fn is(&self, user: Option<UserId>, email: &str) -> bool {
        self.user.is_some() && self.user == user
            || self.email.to_lowercase() == email.to_lowercase()
    }
}

/// Where a plan comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Who asked for the run.
    pub requester: Party,
    /// Who wrote the version of the flow.
    pub author: Option<Party>,
}

/// What a person is in the organization at the moment of a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    pub groups: Vec<String>,
    /// Those who delegated to this person, for now.
    pub stands_in_for: Vec<Principal>,
}

/// Somebody whose place another one takes. A place is lent, no permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub user: Option<UserId>,
    /// In lower case.
    pub email: String,
    pub groups: Vec<String>,
}

/// Who wants to decide.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    pub user: UserId,
    pub email: &'a str,
    /// What their token grants.
    pub permissions: &'a [String],
    pub roles: &'a Roles,
}

impl Person<'_> {
    pub(super) fn may(&self, permission: &str) -> bool {
        self.permissions.iter().any(|word| word == permission)
    }
}
