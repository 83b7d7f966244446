//! The users that tokens speak of: stored when a token is new or says something new, else remembered.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use moka::sync::Cache;
use neena_engine::Hash;
use neena_engine::ids::{OrganizationId, UserId};
use neena_store::Db;
use neena_store::queries::accounts::{self, Bearer, LOCAL};

use super::caller::Caller;
use super::token::Identity;
use crate::error::ApiError;

/// Users remembered at most; those beyond are stored again when they come back.
const REMEMBERED: u64 = 10_000;

/// How long what is stored is believed to be there.
const BELIEVED: Duration = Duration::from_secs(600);

/// Which users are stored as their tokens say.
#[derive(Debug)]
pub(crate) struct Accounts {
    stored: Cache<Hash, (UserId, OrganizationId)>,
}

impl Accounts {
    pub(crate) fn new() -> Accounts {
        let stored = Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_live(BELIEVED)
            .build();
        Accounts { stored }
    }

    /// The caller behind a token that holds; makes or updates its user and organization if need be.
    pub(crate) async fn caller(
        &self,
        db: &Db,
        identity: Identity,
        way: &'static str,
    ) -> Result<Caller, ApiError> {
        let fingerprint = fingerprint(&identity);
        let (user, organization) = match self.stored.get(&fingerprint) {
            Some(known) => known,
            None => {
                let known = store(db, identity.clone()).await?;
                self.stored.insert(fingerprint, known);
                known
            }
        };
        Ok(Caller {
            user,
            organization,
            local: external(&identity) == LOCAL,
            email: identity.email.into(),
            subject: identity.subject.into(),
            permissions: Arc::new(identity.permissions),
            way,
        })
    }
}

async fn store(db: &Db, identity: Identity) -> Result<(UserId, OrganizationId), ApiError> {
    let now = db.now().await?;
    db.unit(move |tx| {
        async move {
            let organization = accounts::organization(tx, external(&identity), now).await?;
            let permissions = serde_json::to_string(identity.permissions.words())
                .map_err(|error| ApiError::Internal(error.to_string()))?;
            let bearer = Bearer {
                issuer: &identity.issuer,
                subject: &identity.subject,
                email: &identity.email,
                full_name: identity.name.as_deref(),
                permissions: &permissions,
            };
            let user = accounts::enrol(tx, organization, &bearer, now).await?;
            Ok((user, organization))
        }
        .boxed()
    })
    .await
}

/// The external id of the token's organization; tokens without one share the local one.
fn external(identity: &Identity) -> &str {
    identity.organization.as_deref().unwrap_or(LOCAL)
}

/// Changes whenever something that is stored does. Each part is preceded by its length.
fn fingerprint(identity: &Identity) -> Hash {
    let mut text = Vec::new();
    let parts = [&identity.issuer, &identity.subject, &identity.email]
        .into_iter()
        .map(|part| Some(part.as_str()))
        .chain([identity.name.as_deref(), identity.organization.as_deref()])
        .chain(
            identity
                .permissions
                .words()
                .iter()
                .map(|word| Some(word.as_str())),
        );
    for part in parts {
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        text.extend_from_slice(&length.to_be_bytes());
        text.extend_from_slice(part.unwrap_or("").as_bytes());
    }
    Hash::of(&text)
}
