//! Integrations and their task definitions: server-wide, written by syncs and at start.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use neena_engine::Micros;
use neena_engine::flow::{Catalogue, Definition, Kind};
use neena_engine::ids::TaskDefinitionId;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, IntoActiveModel,
    JoinType, QueryFilter, QueryOrder, QuerySelect, RelationDef, Select,
};
use uuid::Uuid;

use super::Window;
use crate::entities::{integration, task_definition};
use crate::{Res, StoreError};

/// Ids looked up at once.
const CHUNK: usize = 500;

/// A number nobody else locks.
const REGISTERING: i64 = 0x6e65_656e_6163;

/// A task definition with the integration it belongs to.
#[derive(Clone, Debug)]
pub struct Defined {
    pub definition: task_definition::Model,
    pub integration: integration::Model,
}

/// A page of the integrations.
pub async fn integrations(
    db: &impl ConnectionTrait,
    window: Window,
) -> Result<Vec<integration::Model>, DbErr> {
    integration::Entity::find()
        .order_by_desc(integration::Column::CreatedAt)
        .order_by_desc(integration::Column::Id)
        .offset(window.skip)
        .limit(window.limit)
        .all(db)
        .await
}

/// A page of the task definitions that are not deleted.
pub async fn definitions(db: &impl ConnectionTrait, window: Window) -> Result<Vec<Defined>, DbErr> {
    let rows = there()
        .join(JoinType::InnerJoin, integration_of_definition())
        .select_also(integration::Entity)
        .order_by_desc(task_definition::Column::CreatedAt)
        .order_by_desc(task_definition::Column::Id)
        .offset(window.skip)
        .limit(window.limit)
        .all(db)
        .await?;
    Ok(rows.into_iter().filter_map(defined).collect())
}

/// The task definitions of `ids` that are there and not deleted, in no particular order.
pub async fn definitions_of(
    db: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = TaskDefinitionId>,
) -> Result<Vec<Defined>, DbErr> {
    let ids = distinct(ids);
    let mut found = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(CHUNK) {
        let rows = there()
            .filter(task_definition::Column::Id.is_in(chunk.iter().copied()))
            .join(JoinType::InnerJoin, integration_of_definition())
            .select_also(integration::Entity)
            .all(db)
            .await?;
        found.extend(rows.into_iter().filter_map(defined));
    }
    Ok(found)
}

/// The task definitions of `ids` that are there and not deleted, as the engine knows them.
pub async fn known(
    db: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = TaskDefinitionId>,
) -> Res<Catalogue> {
    let rows = definitions_of(db, ids).await?;
    rows.into_iter()
        .map(|row| {
            let id = TaskDefinitionId(row.definition.id);
            Ok((id, Arc::new(definition(row)?)))
        })
        .collect()
}

fn definition(row: Defined) -> Res<Definition> {
    let Defined {
        definition,
        integration,
    } = row;
    let unreadable = |error: serde_json::Error| {
        StoreError::Refused(format!(
            "the definition `{}` cannot be read: {error}",
            definition.python_method_name
        ))
    };
    Ok(Definition {
        id: TaskDefinitionId(definition.id),
        kind: kind_of(&definition.kind)?,
        parameters: serde_json::from_str(&definition.parameters).map_err(unreadable)?,
        outputs: serde_json::from_str(&definition.output_parameters).map_err(unreadable)?,
        name: definition.task_name,
        integration: integration.short_name,
        method: definition.python_method_name,
        code_digest: definition.code_digest,
        pure: definition.pure,
        repeatable: definition.repeatable,
        takes_any: definition.takes_any,
    })
}

/// The word for a kind in the database.
pub const fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::BuiltIn => "built_in",
        Kind::Python => "python",
        Kind::External => "external",
    }
}

fn kind_of(word: &str) -> Res<Kind> {
    [Kind::BuiltIn, Kind::Python, Kind::External]
        .into_iter()
        .find(|kind| kind_word(*kind) == word)
        .ok_or_else(|| StoreError::Refused(format!("a task definition of the kind `{word}`")))
}

/// The digests of the code behind those of `ids` that are there and not deleted.
pub async fn digests_of(
    db: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = TaskDefinitionId>,
) -> Result<HashMap<Uuid, String>, DbErr> {
    let ids = distinct(ids);
    let mut digests = HashMap::with_capacity(ids.len());
    for chunk in ids.chunks(CHUNK) {
        let rows: Vec<(Uuid, String)> = there()
            .filter(task_definition::Column::Id.is_in(chunk.iter().copied()))
            .select_only()
            .columns([
                task_definition::Column::Id,
                task_definition::Column::CodeDigest,
            ])
            .into_tuple()
            .all(db)
            .await?;
        digests.extend(rows);
    }
    Ok(digests)
}

/// Writes an integration and its definitions as they are now: new ones are inserted, changed ones
/// updated, vanished ones soft-deleted; what is as it was keeps its dates. Rows are found by their
/// names; the ids and dates given are used for what is new. Answers all that is there afterwards.
pub async fn register(
    db: &impl ConnectionTrait,
    integration: integration::Model,
    definitions: Vec<task_definition::Model>,
    now: Micros,
) -> Result<(integration::Model, Vec<task_definition::Model>), DbErr> {
    one_at_a_time(db).await?;
    let integration = register_integration(db, integration, now).await?;
    let mut known: HashMap<String, task_definition::Model> = task_definition::Entity::find()
        .filter(task_definition::Column::IntegrationId.eq(integration.id))
        .all(db)
        .await?
        .into_iter()
        .map(|row| (row.python_method_name.clone(), row))
        .collect();
    let mut current = Vec::with_capacity(definitions.len());
    for mut definition in definitions {
        definition.integration_id = integration.id;
        let known = known.remove(&definition.python_method_name);
        current.push(register_definition(db, definition, known, now).await?);
    }
    for mut vanished in known.into_values().filter(|row| row.deleted_at.is_none()) {
        vanished.deleted_at = Some(now.0);
        vanished.modified_at = now.0;
        task_definition::Entity::update(vanished.into_active_model().reset_all())
            .exec(db)
            .await?;
    }
    Ok((integration, current))
}

/// Waits until no other transaction registers anything: processes that start together bring the same rows.
async fn one_at_a_time(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    if db.get_database_backend() == DbBackend::Postgres {
        let sql = format!("SELECT pg_advisory_xact_lock({REGISTERING})");
        db.execute_unprepared(&sql).await?;
    }
    Ok(())
}

async fn register_integration(
    db: &impl ConnectionTrait,
    mut row: integration::Model,
    now: Micros,
) -> Result<integration::Model, DbErr> {
    let known = integration::Entity::find()
        .filter(integration::Column::ShortName.eq(&row.short_name))
        .one(db)
        .await?;
    let Some(known) = known else {
        integration::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(db)
            .await?;
        return Ok(row);
    };
    (row.id, row.created_at, row.modified_at) = (known.id, known.created_at, known.modified_at);
    if row == known {
        return Ok(known);
    }
    row.modified_at = now.0;
    integration::Entity::update(row.into_active_model().reset_all())
        .exec(db)
        .await
}

async fn register_definition(
    db: &impl ConnectionTrait,
    mut row: task_definition::Model,
    known: Option<task_definition::Model>,
    now: Micros,
) -> Result<task_definition::Model, DbErr> {
    let Some(known) = known else {
        task_definition::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(db)
            .await?;
        return Ok(row);
    };
    let by = row.modified_by_email.take();
    row.id = known.id;
    row.created_at = known.created_at;
    row.created_by_email = known.created_by_email.clone();
    row.modified_at = known.modified_at;
    row.modified_by_email = known.modified_by_email.clone();
    if row == known {
        return Ok(known);
    }
    row.modified_at = now.0;
    row.modified_by_email = by;
    task_definition::Entity::update(row.into_active_model().reset_all())
        .exec(db)
        .await
}

/// Definitions that are not deleted.
fn there() -> Select<task_definition::Entity> {
    task_definition::Entity::find().filter(task_definition::Column::DeletedAt.is_null())
}

type Joined = (task_definition::Model, Option<integration::Model>);

fn defined((definition, integration): Joined) -> Option<Defined> {
    Some(Defined {
        definition,
        integration: integration?,
    })
}

fn distinct(ids: impl IntoIterator<Item = TaskDefinitionId>) -> Vec<Uuid> {
    let ids: HashSet<Uuid> = ids.into_iter().map(|id| id.0).collect();
    ids.into_iter().collect()
}

fn integration_of_definition() -> RelationDef {
    task_definition::Entity::belongs_to(integration::Entity)
        .from(task_definition::Column::IntegrationId)
        .to(integration::Column::Id)
        .into()
}
