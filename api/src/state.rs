//! What every handler is given: made once at start, passed in, cheap to clone.

use std::sync::Arc;

use neena_bus::Bus;
use neena_engine::ids::{RunId, WorkerId};
use neena_store::{Db, Message, Outlet, Store};

use crate::auth::{Accounts, Verifier};
use crate::config::ApiConfig;
use crate::hosting::Hosting;
use crate::routes::flow_runs::Orders;

/// The parts the API is made of.
#[derive(Debug)]
pub struct Parts {
    pub db: Db,
    /// Decisions about runs go through it.
    pub store: Arc<dyn Store>,
    /// Where messages go once what caused them is committed.
    pub outlet: Outlet,
    /// The way to tell a worker to look again.
    pub bus: Arc<dyn Bus>,
    pub config: ApiConfig,
    /// Hosts what a sync names by path; none where this process runs no tasks.
    pub hosting: Option<Arc<dyn Hosting>>,
}

/// The state of the API.
#[derive(Clone, Debug)]
pub struct AppState(Arc<State>);

#[derive(Debug)]
struct State {
    parts: Parts,
    verifier: Verifier,
    accounts: Accounts,
    orders: Orders,
}

impl AppState {
    /// The state over `parts`.
    pub fn new(parts: Parts) -> AppState {
        let verifier = Verifier::new(&parts.config.tokens);
        AppState(Arc::new(State {
            parts,
            verifier,
            accounts: Accounts::new(),
            orders: Orders::new(),
        }))
    }

    pub(crate) fn db(&self) -> &Db {
        &self.0.parts.db
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.0.parts.store.as_ref()
    }

    pub(crate) fn config(&self) -> &ApiConfig {
        &self.0.parts.config
    }

    pub(crate) fn hosting(&self) -> Option<&dyn Hosting> {
        self.0.parts.hosting.as_deref()
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.0.verifier
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    /// In which order the operations of flow versions stand.
    pub(crate) fn orders(&self) -> &Orders {
        &self.0.orders
    }

    /// Passes on what was committed: to the relay, and to the worker that should look again.
    pub(crate) async fn announce(&self, messages: Vec<Message>, poke: Option<(WorkerId, RunId)>) {
        self.0.parts.outlet.hand(messages);
        if let Some((worker, run)) = poke {
            self.0.parts.bus.poke(worker, run).await;
        }
    }
}
