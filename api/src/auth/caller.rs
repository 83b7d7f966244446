//! Who calls: what a handler is given once a token was found to hold.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use neena_engine::ids::{OrganizationId, UserId};
use neena_engine::run::Actor;
use neena_store::queries::NewEntry;

use super::permission::{Permission, Permissions};
use crate::error::ApiError;

/// The caller of a request. Only the layer that a route's permission puts before its handler makes one.
#[derive(Clone, Debug)]
pub struct Caller {
    pub user: UserId,
    pub email: Arc<str>,
    pub subject: Arc<str>,
    /// The tenant every query of the request starts from.
    pub organization: OrganizationId,
    /// Whether that is the server's own `local` organization.
    pub local: bool,
    pub permissions: Arc<Permissions>,
    /// The way in, as the decision log has it: `cli` for the command line, by its own word, else `rest`. It decides
    /// nothing.
    pub way: &'static str,
}

impl Caller {
    /// Whether the token grants `permission`.
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.grant(permission)
    }

    /// The caller as the one who decides something.
    pub fn actor(&self) -> Actor {
        Actor {
            user: self.user,
            email: self.email.as_ref().to_owned(),
            permissions: self.permissions.words().to_vec(),
            way: self.way,
        }
    }

    /// The start of an entry of the decision log: what the caller did beside deciding about runs.
    pub(crate) fn entry(&self) -> NewEntry<'_> {
        NewEntry {
            user: Some(self.user),
            email: Some(&self.email),
            way: self.way,
            ..NewEntry::default()
        }
    }

    /// Whether `email` is the caller's own.
    pub fn is(&self, email: &str) -> bool {
        self.email.eq_ignore_ascii_case(email)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, ApiError> {
        parts
            .extensions
            .get::<Caller>()
            .cloned()
            .ok_or(ApiError::Unauthorized)
    }
}
