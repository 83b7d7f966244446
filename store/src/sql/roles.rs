//! What a person is in an organization, as far as a policy asks.

use neena_engine::Micros;
use neena_engine::approval::{Policy, Principal, Roles};
use neena_engine::ids::OrganizationId;
use sea_orm::ConnectionTrait;

use super::all;
use super::row::Reader;
use crate::Res;

/// Whether it matters to `policy` what somebody is: where it names nobody, it does not.
pub(super) fn play_a_part(policy: &Policy) -> bool {
    let stages = policy.stages.iter().map(|stage| &stage.approvers);
    let mut audiences = stages.chain([&policy.escalate_to]);
    audiences.any(|audience| !audience.users.is_empty() || !audience.groups.is_empty())
}

/// All that somebody is in an organization: their groups, and whose places they may take at `now`.
pub async fn roles(
    connection: &impl ConnectionTrait,
    organization: OrganizationId,
    email: &str,
    now: Micros,
) -> Res<Roles> {
    let email = email.to_lowercase();
    let mut roles = Roles {
        groups: groups(connection, organization, &email).await?,
        stands_in_for: Vec::new(),
    };
    let sql = "SELECT from_email, from_user FROM delegations WHERE organization_id = $1 AND to_email = $2 \
         AND starts_at <= $3 AND ends_at > $3 ORDER BY from_email";
    let values = [organization.0.into(), email.into(), now.0.into()];
    for row in all(connection, sql, values).await? {
        let mut row = Reader::new(&row);
        let email: String = row.get()?;
        roles.stands_in_for.push(Principal {
            user: row.maybe_id()?,
            groups: groups(connection, organization, &email).await?,
            email,
        });
    }
    Ok(roles)
}

async fn groups(
    connection: &impl ConnectionTrait,
    organization: OrganizationId,
    email: &str,
) -> Res<Vec<String>> {
    let sql =
        "SELECT name FROM group_members WHERE organization_id = $1 AND email = $2 ORDER BY name";
    let rows = all(connection, sql, [organization.0.into(), email.into()]).await?;
    rows.iter().map(|row| Reader::new(row).get()).collect()
}
