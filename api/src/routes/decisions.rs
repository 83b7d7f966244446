//! The decision log: a page of it, and all of it in the order of its chain.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use neena_engine::ids::{OrganizationId, RunId};
use neena_store::Db;
use neena_store::entities::decision;
use neena_store::queries;
use sea_orm::DbErr;
use serde::Serialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::parameters::Paging;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::{Pairs, Query, QueryParameters};
use crate::state::AppState;
use crate::view::Time;

/// Entries read at a time.
const PIECE: u64 = 1_000;

/// Of which run.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfRun {
    /// Only decisions about this run.
    flow_run_id: Option<Uuid>,
}

impl QueryParameters for OfRun {
    fn read(pairs: &mut Pairs) -> Option<OfRun> {
        Some(OfRun {
            flow_run_id: pairs.maybe_id("flow_run_id")?,
        })
    }
}

/// From where on.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct From {
    /// The first number of the chain; 1 unless given.
    #[param(required = false, minimum = 1, default = 1)]
    from_seq: u64,
}

impl QueryParameters for From {
    fn read(pairs: &mut Pairs) -> Option<From> {
        Some(From {
            from_seq: pairs.number("from_seq", 1, 1..=i64::MAX as u64)?,
        })
    }
}

/// An entry of the decision log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Decision)]
pub(crate) struct DecisionView {
    id: Uuid,
    organization: Uuid,
    /// null: it is about no run.
    flow_run: Option<Uuid>,
    /// Of the gate; null: the run as a whole.
    task_operation_index: Option<i64>,
    /// Key of the gate.
    gate: Option<String>,
    /// `approve`, `reject`, `start`, `remind`, `escalate`, `expire`, `cancel`, `retry`, `refused`, or what was
    /// changed: `policy`, `group`, `delegate`, `loosen`, …
    what: String,
    /// null: time decided.
    actor_email: Option<String>,
    /// In whose place they decided.
    stands_in_for: Option<String>,
    /// `rest`, `link`, `time`, …
    way: String,
    plan_hash: Option<String>,
    stage: Option<String>,
    comment: Option<String>,
    /// What the policy made of it.
    result: String,
    time: Time,
    /// Its number in the chain; null: not sealed yet.
    seq: Option<i64>,
    prev: Option<String>,
    hash: Option<String>,
}

impl std::convert::From<decision::Model> for DecisionView {
    fn from(row: decision::Model) -> DecisionView {
        DecisionView {
            id: row.id,
            organization: row.organization_id,
            flow_run: row.run_id,
            task_operation_index: row.idx,
            gate: row.gate,
            what: row.what,
            actor_email: row.actor_email,
            stands_in_for: row.stands_in_for,
            way: row.way,
            plan_hash: row.plan_hash,
            stage: row.stage,
            comment: row.comment,
            result: row.result,
            time: Time::of(row.at),
            seq: row.seq,
            prev: row.prev,
            hash: row.hash,
        }
    }
}

/// List decisions
///
/// Everything that was decided, by whom, by which way in and why, newest first.
#[utoipa::path(
    get,
    path = "/decisions/all",
    tag = "Decisions",
    params(OfRun, Paging),
    responses((status = 200, body = Vec<DecisionView>), (status = 404, description = "No such run"))
)]
pub(crate) async fn all(
    State(app): State<AppState>,
    caller: Caller,
    Query((of, paging)): Query<(OfRun, Paging)>,
) -> Result<Json<Vec<DecisionView>>, ApiError> {
    let tenant = queries::of(app.db().reader(), caller.organization);
    let run = of.flow_run_id.map(RunId);
    if let Some(run) = run
        && tenant.flow_run(run).await?.is_none()
    {
        return Err(ApiError::NotFound("Flow run"));
    }
    let rows = tenant.decisions(run, paging.window()).await?;
    Ok(Json(rows.into_iter().map(DecisionView::from).collect()))
}

/// Export the decision log
///
/// JSON lines, oldest first: sealed entries in the order of the chain, then those not sealed yet, then a line that
/// says where the chain stands.
#[utoipa::path(
    get,
    path = "/decisions/export",
    tag = "Decisions",
    params(From),
    responses((status = 200, body = String, content_type = "application/x-ndjson"))
)]
pub(crate) async fn export(
    State(app): State<AppState>,
    caller: Caller,
    Query(from): Query<From>,
) -> Response {
    let export = Export {
        db: app.db().clone(),
        organization: caller.organization,
        after: Some(i64::try_from(from.from_seq - 1).unwrap_or(i64::MAX)),
    };
    let lines = stream::try_unfold(export, |mut export| async move {
        let piece = export.next().await.inspect_err(|error| {
            tracing::warn!(%error, "an export of the decision log broke off");
        })?;
        Ok::<_, DbErr>(piece.map(|piece| (piece, export)))
    });
    let kind = HeaderValue::from_static("application/x-ndjson");
    ([(CONTENT_TYPE, kind)], Body::from_stream(lines)).into_response()
}

struct Export {
    db: Db,
    organization: OrganizationId,
    /// The number of the chain it has come to; none: it is over.
    after: Option<i64>,
}

impl Export {
    /// The next lines; none after the last.
    async fn next(&mut self) -> Result<Option<Bytes>, DbErr> {
        let Some(after) = self.after else {
            return Ok(None);
        };
        let tenant = queries::of(self.db.reader(), self.organization);
        loop {
            let rows = tenant.sealed_after(after, PIECE).await?;
            if let Some(last) = rows.last() {
                self.after = Some(last.seq.unwrap_or(i64::MAX));
                return lines(rows).map(Some);
            }
            let tail = self.tail().await?;
            let chain = tenant.chain().await?;
            // What was sealed meanwhile may be in neither part: from there on again.
            if chain.seq <= after {
                self.after = None;
                let end = json!({"chain": {
                    "organization": self.organization,
                    "seq": chain.seq,
                    "hash": chain.hash,
                    "unsealed": tail.len(),
                }});
                let mut text = lines(tail)?.to_vec();
                text.extend(format!("{end}\n").into_bytes());
                return Ok(Some(text.into()));
            }
        }
    }

    /// Entries that are not sealed yet: a second's worth of them.
    async fn tail(&self) -> Result<Vec<decision::Model>, DbErr> {
        let tenant = queries::of(self.db.reader(), self.organization);
        let mut tail: Vec<decision::Model> = Vec::new();
        loop {
            let mark = tail.last().map(decision::Model::mark);
            let rows = tenant.unsealed_after(mark, PIECE).await?;
            let last = (rows.len() as u64) < PIECE;
            tail.extend(rows);
            if last {
                return Ok(tail);
            }
        }
    }
}

fn lines(rows: Vec<decision::Model>) -> Result<Bytes, DbErr> {
    let mut text = Vec::new();
    for row in rows {
        let line = row.line()?;
        serde_json::to_writer(&mut text, &line).map_err(|error| DbErr::Json(error.to_string()))?;
        text.push(b'\n');
    }
    Ok(text.into())
}
