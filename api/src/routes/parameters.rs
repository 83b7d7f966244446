//! Query parameters that several routes share.

use neena_store::queries::Window;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::extract::{Pairs, QueryParameters};

/// One thing by its id.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ById {
    /// The id.
    pub(crate) id: Uuid,
}

impl QueryParameters for ById {
    fn read(pairs: &mut Pairs) -> Option<ById> {
        Some(ById {
            id: pairs.id("id")?,
        })
    }
}

/// A page of a list, newest first.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// Number of records to skip.
    #[param(required = false, minimum = 0, default = 0)]
    skip: u64,
    /// Maximum number of records to return.
    #[param(required = false, minimum = 1, maximum = 1000, default = 100)]
    limit: u64,
}

impl Paging {
    pub(crate) fn window(&self) -> Window {
        Window {
            skip: self.skip,
            limit: self.limit,
        }
    }
}

impl QueryParameters for Paging {
    fn read(pairs: &mut Pairs) -> Option<Paging> {
        let skip = pairs.number("skip", 0, 0..=i64::MAX as u64);
        let limit = pairs.number("limit", 100, 1..=1_000);
        Some(Paging {
            skip: skip?,
            limit: limit?,
        })
    }
}
