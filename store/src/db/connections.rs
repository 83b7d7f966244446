//! The connections of a process to Postgres: pools by what their commits wait for and who must not wait
//! behind whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Error};

use crate::Res;

/// A connection that was not used for so long is tried before it is used.
pub(super) const STALE: Duration = Duration::from_secs(1);

/// How many connections a process opens to Postgres at most, and how long it waits for one. Three more
/// are its own: two for the journal, one for the beat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connections {
    /// For units of work: decisions, and what the API writes.
    pub units: u32,
    /// For claims, the outbox, and what is committed lazily.
    pub lazy: u32,
    /// For reads.
    pub reads: u32,
    /// How long a caller waits for a connection before it is told that there is none.
    pub patience: Duration,
    /// What the server lists them as (`application_name`).
    pub name: String,
}

impl Default for Connections {
    fn default() -> Connections {
        Connections {
            units: 8,
            lazy: 4,
            reads: 6,
            patience: Duration::from_secs(3),
            name: "neena".to_owned(),
        }
    }
}

/// The pools.
#[derive(Clone, Debug)]
pub(super) struct Pools {
    pub(super) units: PgPool,
    pub(super) lazy: PgPool,
    pub(super) reads: PgPool,
    pub(super) journal: PgPool,
    pub(super) beat: PgPool,
    /// How many connections were made for batches, durable and lazy.
    pub(super) lives: Arc<AtomicU64>,
}

impl Pools {
    /// Opens a connection for units of work, to know that the server is there, and the journal's; the others
    /// when they are needed.
    pub(super) async fn open(url: &str, sizes: &Connections) -> Res<Pools> {
        let options = options(url, sizes)?;
        let lazily = options.clone().options([("synchronous_commit", "off")]);
        let reading = options
            .clone()
            .options([("default_transaction_read_only", "on")]);
        let lives = Arc::new(AtomicU64::new(0));
        let counted = |options: PgPoolOptions| {
            let lives = Arc::clone(&lives);
            // They stay as long as the server does: a new one says that it may have crashed.
            let stay = options.idle_timeout(None).max_lifetime(None);
            stay.after_connect(move |_, _| {
                lives.fetch_add(1, Ordering::AcqRel);
                Box::pin(std::future::ready(Ok(())))
            })
        };
        let pool = |connections| pool(connections, sizes.patience);
        Ok(Pools {
            units: pool(sizes.units).connect_with(hot(options.clone())).await?,
            // All of them at once: one that came later would look like a server that crashed meanwhile.
            lazy: counted(pool(sizes.lazy))
                .min_connections(sizes.lazy)
                .connect_with(hot(lazily.clone()))
                .await?,
            reads: pool(sizes.reads).connect_lazy_with(reading),
            // One batch is in flight, on the connection at hand; the second is there when that one is lost.
            journal: counted(pool(2))
                .min_connections(2)
                .connect_with(hot(options))
                .await?,
            beat: pool(1).connect_lazy_with(lazily),
            lives,
        })
    }

    /// Nothing is lent any more from here on; done once what was lent is back.
    pub(super) fn close(&self) -> impl Future<Output = ()> {
        let closing = [
            &self.units,
            &self.lazy,
            &self.reads,
            &self.journal,
            &self.beat,
        ]
        .map(PgPool::close);
        join_all(closing).map(drop)
    }
}

/// Given with the connection, so that no statement in between is needed and none is forgotten.
fn options(url: &str, sizes: &Connections) -> Res<PgConnectOptions> {
    let mut options: PgConnectOptions = url.parse()?;
    // A name in the URL is there on purpose.
    if options.get_application_name().is_none() {
        options = options.application_name(&sizes.name);
    }
    Ok(options.disable_statement_logging().options([
        ("lock_timeout", "2s"),
        ("statement_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "10s"),
        // A client that vanished must not hold its locks until the network's patience ends.
        ("tcp_keepalives_idle", "10"),
        ("tcp_keepalives_interval", "3"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "20s"),
        // What is asked goes by an index, and by its order. The tables of what goes on grow and shrink within seconds,
        // so the statistics are always old, and by old ones a whole table of four pages looks cheaper.
        ("enable_seqscan", "off"),
        ("enable_bitmapscan", "off"),
        ("jit", "off"),
    ]))
}

/// Statements that come again and again: planned once.
fn hot(options: PgConnectOptions) -> PgConnectOptions {
    options.options([("plan_cache_mode", "force_generic_plan")])
}

fn pool(connections: u32, patience: Duration) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(patience)
        // What was used a moment ago is not asked whether it is there: that would double every round trip.
        .test_before_acquire(false)
        .before_acquire(|connection, of| tested(connection, of.idle_for))
        .idle_timeout(Duration::from_secs(300))
        .max_lifetime(Duration::from_secs(1_800))
}

fn tested(connection: &mut PgConnection, idle: Duration) -> BoxFuture<'_, Result<bool, Error>> {
    Box::pin(async move {
        match idle < STALE {
            true => Ok(true),
            false => Ok(connection.ping().await.is_ok()),
        }
    })
}
