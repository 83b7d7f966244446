//! Whether requests can be served, told so that asking costs nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use neena_bus::{Bus, Standing};
use neena_store::Db;

/// How long an answer of the database is believed.
const BELIEVED: Duration = Duration::from_secs(1);
/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why requests are served worse than they could be, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    Ready,
    /// Requests are served; this is amiss.
    Degraded(&'static str),
    /// No request can be served.
    Unready(Vec<&'static str>),
}

/// What is known of it.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    stopping: AtomicBool,
    database: Arc<Mutex<Database>>,
}

/// What the database said last.
#[derive(Debug, Default)]
struct Database {
    answers: Option<bool>,
    at: Option<Instant>,
    asked: bool,
}

impl Probe {
    /// From now on the process is stopping.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) async fn look(&self, db: &Db, bus: &dyn Bus) -> Readiness {
        let mut reasons = Vec::new();
        if self.stopping.load(Ordering::Relaxed) {
            reasons.push("the process is stopping");
        }
        if !self.database_answers(db).await {
            reasons.push("the database does not answer");
        }
        if !reasons.is_empty() {
            return Readiness::Unready(reasons);
        }
        // The cause may name hosts, and anybody may ask: it is in the log.
        match bus.standing() {
            Standing::Up => Readiness::Ready,
            Standing::Blocked(_) => Readiness::Degraded("the broker takes no messages"),
            Standing::Down(_) => Readiness::Degraded("the broker does not answer"),
        }
    }

    /// One asks; whoever comes meanwhile is told what was known before.
    async fn database_answers(&self, db: &Db) -> bool {
        let known = {
            let mut database = lock(&self.database);
            let fresh = database.at.is_some_and(|at| at.elapsed() < BELIEVED);
            match database.answers {
                Some(answers) if fresh || database.asked => Some(answers),
                _ => {
                    database.asked = true;
                    None
                }
            }
        };
        match known {
            Some(answers) => answers,
            None => self.ask(db).await,
        }
    }

    async fn ask(&self, db: &Db) -> bool {
        let (db, database) = (db.clone(), Arc::clone(&self.database));
        // Goes on if whoever asked has gone.
        let asking = tokio::spawn(async move {
            let answer = tokio::time::timeout(PATIENCE, db.ping()).await;
            let answers = matches!(answer, Ok(Ok(())));
            let mut database = lock(&database);
            if !answers && database.answers != Some(false) {
                tracing::warn!("the database does not answer; this process is not ready");
            }
            *database = Database {
                answers: Some(answers),
                at: Some(Instant::now()),
                asked: false,
            };
            answers
        });
        asking.await.unwrap_or(false)
    }
}

fn lock(database: &Mutex<Database>) -> std::sync::MutexGuard<'_, Database> {
    database.lock().unwrap_or_else(PoisonError::into_inner)
}
