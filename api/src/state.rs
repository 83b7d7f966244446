//! What every handler is given: made once at start, passed in, cheap to clone.

use std::sync::Arc;

use neena_bus::Bus;
use neena_engine::ids::{RunId, WorkerId};
use neena_store::{Db, Message, Outlet, Store};

use crate::admission::Admission;
use crate::auth::{Accounts, Verifier};
use crate::config::ApiConfig;
use crate::courier::Reaching;
use crate::forms::Forms;
use crate::hosting::Hosting;
use crate::metrics::Metrics;
use crate::pokes::Pokes;
use crate::readiness::{Probe, Readiness};
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
    /// What `/metrics` shows; none where nothing is counted.
    pub metrics: Option<Metrics>,
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
    forms: Forms,
    reaching: Reaching,
    admission: Admission,
    pokes: Pokes,
    probe: Probe,
}

impl AppState {
    /// The state over `parts`. Called within a runtime.
    pub fn new(parts: Parts) -> AppState {
        let verifier = Verifier::new(&parts.config.tokens);
        let admission = Admission::new(&parts.config.limits);
        let reaching = Reaching::new(&parts.config);
        let pokes = Pokes::through(Arc::clone(&parts.bus));
        AppState(Arc::new(State {
            parts,
            verifier,
            accounts: Accounts::new(),
            orders: Orders::new(),
            forms: Forms::new(),
            reaching,
            admission,
            pokes,
            probe: Probe::default(),
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

    /// Compiled schemas of clients.
    pub(crate) fn forms(&self) -> &Forms {
        &self.0.forms
    }

    /// The means by which people are reached.
    pub(crate) fn reaching(&self) -> &Reaching {
        &self.0.reaching
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.0.admission
    }

    pub(crate) fn metrics(&self) -> Option<&Metrics> {
        self.0.parts.metrics.as_ref()
    }

    /// Whether requests can be served.
    pub(crate) async fn readiness(&self) -> Readiness {
        let parts = &self.0.parts;
        self.0.probe.look(&parts.db, parts.bus.as_ref()).await
    }

    /// From now on the process is stopping, and `/readyz` says so.
    pub(crate) fn stopping(&self) {
        self.0.probe.stop();
    }

    /// Passes on what was committed: to the relay, and to the workers that should look again. Never waits:
    /// what finds no way now is found in the database later.
    pub(crate) fn announce(
        &self,
        messages: Vec<Message>,
        pokes: impl IntoIterator<Item = (WorkerId, RunId)>,
    ) {
        self.0.parts.outlet.hand(messages);
        for (worker, run) in pokes {
            self.0.pokes.send(worker, run);
        }
        before_answer();
    }
}

/// A decision is committed, and its client not yet told.
fn before_answer() {
    fail::fail_point!("api.before_answer", |_| std::process::abort());
}
