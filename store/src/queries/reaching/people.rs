//! Whom an ask concerns, by name: for telling them, never for deciding who may.

use std::collections::{BTreeMap, BTreeSet};

use neena_engine::Micros;
use neena_engine::approval::Audience;
use neena_engine::ids::OrganizationId;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Value,
};

use uuid::Uuid;

use super::{all, places};
use crate::entities::user;

/// People told of one ask at most.
pub const MOST: usize = 200;

/// The e-mails, in lower case, of those an audience names: users, members of groups, holders of permissions
/// and whoever may approve where nobody is named; and of those who stand in for them now. `not`: who may not
/// answer, and lends nobody their place.
pub async fn of_audience(
    db: &impl ConnectionTrait,
    organization: OrganizationId,
    audience: &Audience,
    not: &[&str],
    now: Micros,
) -> Result<Vec<String>, DbErr> {
    let mut named: BTreeSet<String> = audience.users.iter().cloned().collect();
    if !audience.groups.is_empty() {
        let sql = format!(
            "SELECT DISTINCT email FROM group_members WHERE organization_id = $1 AND name IN ({}) \
             ORDER BY email LIMIT {MOST}",
            places(2, audience.groups.len())
        );
        named.extend(emails(db, organization, &sql, &audience.groups, []).await?);
    }
    let by_permission = audience.is_anyone() || !audience.permissions.is_empty();
    if by_permission {
        let holds = |words: &[String]| {
            audience.is_anyone() || audience.permissions.iter().any(|word| words.contains(word))
        };
        let holders = approving(db, organization, None).await?;
        let fits = holders
            .into_iter()
            .filter(|(_, user)| holds(&words(user)))
            .map(|(email, _)| email);
        named.extend(fits);
    }
    named.retain(|email| !not.contains(&email.as_str()));
    let principals: Vec<String> = named.iter().take(MOST).cloned().collect();
    if !principals.is_empty() {
        let at = principals.len() + 2;
        let sql = format!(
            "SELECT DISTINCT to_email FROM delegations WHERE organization_id = $1 AND from_email IN ({}) \
               AND starts_at <= ${at} AND ends_at > ${at} ORDER BY to_email LIMIT {MOST}",
            places(2, principals.len())
        );
        let lent = emails(db, organization, &sql, &principals, [now.0.into()]).await?;
        named.extend(lent);
    }
    named.retain(|email| !not.contains(&email.as_str()));
    Ok(named.into_iter().take(MOST).collect())
}

async fn emails(
    db: &impl ConnectionTrait,
    organization: OrganizationId,
    sql: &str,
    names: &[String],
    more: impl IntoIterator<Item = Value>,
) -> Result<Vec<String>, DbErr> {
    let values = std::iter::once(organization.0.into())
        .chain(names.iter().map(|name| Value::from(name.clone())))
        .chain(more);
    let rows = all(db, sql, values.collect::<Vec<_>>()).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// The users of the organization whose last token let them approve, by e-mail in lower case: all (up to some),
/// or those of `emails`. Of several with one e-mail the one seen last.
pub async fn approving(
    db: &impl ConnectionTrait,
    organization: OrganizationId,
    emails: Option<&[String]>,
) -> Result<BTreeMap<String, user::Model>, DbErr> {
    use sea_orm::sea_query::{Expr, ExprTrait, Func};
    let mut query = user::Entity::find()
        .filter(user::Column::OrganizationId.eq(organization.0))
        .filter(user::Column::Permissions.like("%\"approve\"%"));
    if let Some(emails) = emails {
        let lower = Func::lower(Expr::col(user::Column::Email));
        query = query.filter(Expr::expr(lower).is_in(emails));
    }
    let users = query
        .order_by_asc(user::Column::ModifiedAt)
        .limit(10 * MOST as u64)
        .all(db)
        .await?;
    let may = |user: &user::Model| words(user).iter().any(|word| word == "approve");
    Ok(users
        .into_iter()
        .filter(may)
        .map(|user| (user.email.to_lowercase(), user))
        .collect())
}

/// Whoever asked for a run, and those who voted on it, by e-mail in lower case.
pub async fn concerned(db: &impl ConnectionTrait, run: Uuid) -> Result<Vec<String>, DbErr> {
    let sql = "SELECT lower(triggered_by) FROM flow_runs WHERE id = $1 \
         UNION SELECT lower(approver_email) FROM approvals WHERE run_id = $1";
    let rows = all(db, sql, [run.into()]).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// What the last token of a user granted.
pub fn words(user: &user::Model) -> Vec<String> {
    serde_json::from_str(&user.permissions).unwrap_or_default()
}
