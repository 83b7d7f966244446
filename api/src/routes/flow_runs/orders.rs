//! In which order the operations of flow versions stand: read once, since versions never change.

use std::collections::HashMap;
use std::sync::Arc;

use moka::sync::Cache;
use neena_engine::ids::FlowId;
use neena_store::queries::Tenant;
use sea_orm::ConnectionTrait;
use serde::Deserialize;
use uuid::Uuid;

use crate::error::ApiError;
use crate::routes::flows::read_stored;

/// Operations remembered in all, over all versions.
const REMEMBERED: u64 = 1_000_000;

/// `sorted_index` by `index`.
pub(crate) type Order = HashMap<i64, u32>;

/// Orders of flow versions.
#[derive(Debug)]
pub(crate) struct Orders {
    known: Cache<(Uuid, i32), Arc<Order>>,
}

#[derive(Deserialize)]
struct Version {
    task_operations: Vec<Operation>,
}

#[derive(Deserialize)]
struct Operation {
    index: i64,
    sorted_index: u32,
}

impl Orders {
    pub(crate) fn new() -> Orders {
        let weigh = |_: &_, order: &Arc<Order>| u32::try_from(order.len()).unwrap_or(u32::MAX) + 1;
        Orders {
            known: Cache::builder()
                .weigher(weigh)
                .max_capacity(REMEMBERED)
                .build(),
        }
    }

    /// The orders of `versions`; those not yet known are read in one query.
    pub(crate) async fn of<C: ConnectionTrait>(
        &self,
        tenant: &Tenant<'_, C>,
        mut versions: Vec<(Uuid, i32)>,
    ) -> Result<HashMap<(Uuid, i32), Arc<Order>>, ApiError> {
        versions.sort_unstable();
        versions.dedup();
        let mut orders = HashMap::with_capacity(versions.len());
        let mut missing = Vec::new();
        for version in versions {
            match self.known.get(&version) {
                Some(order) => {
                    orders.insert(version, order);
                }
                None => missing.push((FlowId(version.0), version.1)),
            }
        }
        for row in tenant.flow_bodies(&missing).await? {
            let body: Version = read_stored(&row.body)?;
            let order: Order = body
                .task_operations
                .into_iter()
                .map(|operation| (operation.index, operation.sorted_index))
                .collect();
            let (key, order) = ((row.flow_id, row.version), Arc::new(order));
            self.known.insert(key, Arc::clone(&order));
            orders.insert(key, order);
        }
        Ok(orders)
    }
}
