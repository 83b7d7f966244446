//! A policy whose floor has risen since it was checked.

use super::{Policy, PolicySpec};

impl PolicySpec {
    /// This laid on `floor`, which may ask for more than when this was posted: settings by which it would ask
    /// for less now are the floor's, unless `allowed` says of their name that an admin let them be.
    pub fn held_to(&self, floor: &Policy, allowed: impl Fn(&str) -> bool) -> Policy {
        let mut spec = self.clone();
        let (mut policy, mut loosened) = spec.on(floor);
        loop {
            loosened.retain(|setting| !allowed(setting.0));
            if loosened.is_empty() {
                return policy;
            }
            for setting in &loosened {
                spec.leave_to_floor(setting.0);
            }
            (policy, loosened) = spec.on(floor);
        }
    }

    fn leave_to_floor(&mut self, setting: &str) {
        match setting {
            "mode" => self.mode = None,
            "distinct_from_requester" => self.distinct_from_requester = None,
            "distinct_from_author" => self.distinct_from_author = None,
            "distinct_approvers" => self.distinct_approvers = None,
            "reason_required" => self.reason_required = None,
            "expires_in_seconds" => self.expires_in_ms = None,
            "standing" => self.standing = None,
            // Who may answer after a while is one matter, written in two settings.
            _ => {
                self.on_expiry = None;
                self.escalate_to = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Audience, Mode, OnExpiry};
    use super::*;

    fn strict() -> Policy {
        let mut floor = Policy::quorum(1);
        floor.stages[0].approvers.groups.push("finance".to_owned());
        Policy {
            distinct_from_requester: true,
            distinct_from_author: true,
            reason_required: true,
            expires_in_ms: Some(1_000),
            ..floor
        }
    }

    fn loose() -> PolicySpec {
        PolicySpec {
            mode: Some(Mode::None),
            distinct_from_requester: Some(false),
            distinct_from_author: Some(false),
            distinct_approvers: Some(false),
            reason_required: Some(false),
            expires_in_ms: Some(2_000),
            on_expiry: Some(OnExpiry::Escalate),
            escalate_to: Some(Audience::default()),
            standing: Some(true),
            ..PolicySpec::default()
        }
    }

    #[test]
    fn what_nobody_allowed_is_as_the_floor_has_it() {
        let policy = loose().held_to(&strict(), |_| false);
        assert_eq!(policy, strict());
        assert!(loose().held_to(&strict(), |_| true).mode == Mode::None);
    }

    #[test]
    fn what_an_admin_allowed_stays_and_nothing_else() {
        for allowed in ["mode", "standing", "expires_in_seconds", "reason_required"] {
            let policy = loose().held_to(&strict(), |setting| setting == allowed);
            let still: Vec<_> = loose()
                .on(&strict())
                .1
                .into_iter()
                .filter(|setting| setting.0 == allowed)
                .collect();
            assert_eq!(still.len(), 1, "{allowed}");
            assert_ne!(policy, strict(), "{allowed}");
        }
    }

    #[test]
    fn approval_by_expiry_is_taken_back_with_those_it_was_put_to() {
        let spec = PolicySpec {
            on_expiry: Some(OnExpiry::Approve),
            ..PolicySpec::default()
        };
        let policy = spec.held_to(&strict(), |_| false);
        assert_eq!(policy.on_expiry, OnExpiry::Reject);
    }
}
