//! What the API reads and writes beside the life of runs, named by intent. Whatever belongs to a
//! tenant hangs on [`Tenant`], made from the caller's organization, so that no query of it can leave
//! the organization out. What is server-wide (accounts, the catalogue) stands in modules of its own.

pub mod accounts;
pub mod catalogue;
pub mod hosting;
pub mod idempotency;
pub mod reaching;
pub mod standing;

mod approvals;
mod decisions;
mod flow_requests;
mod flow_runs;
mod flows;
mod people;
mod policies;

use neena_engine::ids::OrganizationId;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend};
use uuid::Uuid;

pub use approvals::{Asked, Place, Reader, Waiting};
pub use decisions::{Mark, NewEntry};
pub use flow_requests::FlowRequestEdit;
pub use flow_runs::{Page, Preview, TaskResults};
pub use flows::{Author, FlowVersion, NewVersion, VersionBody};

/// One organization's rows, seen through a connection or within a transaction.
#[derive(Debug)]
pub struct Tenant<'c, C> {
    db: &'c C,
    organization: OrganizationId,
}

/// The rows of `organization`: where every query of a tenant starts.
pub fn of<C: ConnectionTrait>(db: &C, organization: OrganizationId) -> Tenant<'_, C> {
    Tenant { db, organization }
}

/// A page of a list, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub skip: u64,
    pub limit: u64,
}

/// Whether a row that is named by its key is the organization's, said so that no index fits that begins with the
/// organization: Postgres would walk all it has.
fn owned<C: ColumnTrait>(
    db: &impl ConnectionTrait,
    column: C,
    organization: OrganizationId,
) -> Expr {
    if db.get_database_backend() != DbBackend::Postgres {
        return column.eq(organization.0);
    }
    let column = Expr::col((C::EntityName::default(), column));
    Expr::cust_with_exprs("($1 = $2) IS TRUE", [column, Expr::val(organization.0)])
}

/// Whether a column of ids is one of `ids`. Postgres takes them as one value, so that there is one text to be parsed and
/// planned, once, however many there are. Do not ask for them in order: it may then walk an index in that order through
/// everything an organization has.
fn among<C: ColumnTrait>(db: &impl ConnectionTrait, column: C, ids: &[Uuid]) -> Expr {
    if let [id] = ids {
        return column.eq(*id);
    }
    if db.get_database_backend() != DbBackend::Postgres {
        return column.is_in(ids.iter().copied());
    }
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    let column = Expr::col((C::EntityName::default(), column));
    let list = Expr::val(format!("{{{}}}", ids.join(",")));
    Expr::cust_with_exprs("$1 = ANY(CAST($2 AS uuid[]))", [column, list])
}
