//! Stores many finished runs at once: copies of one that the product itself made and finished, row by row, with ids
//! of their own, older than it.

use anyhow::{Context, ensure};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, Statement,
};

use crate::progress::Progress;
use crate::stack::Place;

/// Rows that a run of one task leaves for good: the run, its plan, the task, the result, the vote, and its entries of
/// the log.
pub const ROWS_OF_A_RUN: usize = 6;
/// Runs that are copied together.
const TOGETHER: i64 = 20_000;

/// A table that keeps something of a finished run.
struct Kept {
    table: &'static str,
    /// The column that names the run.
    run: &'static str,
    /// A column that must be new in each copy.
    own: Option<&'static str>,
}

const KEPT: [Kept; 6] = [
    kept("flow_runs", "id", None),
    kept("run_plans", "run_id", None),
    kept("task_runs", "run_id", Some("id")),
    kept("flow_results", "run_id", Some("id")),
    kept("approvals", "run_id", Some("id")),
    kept("decisions", "run_id", Some("id")),
];
/// What is swept away behind a run, sooner or later.
const SWEPT: [&str; 1] = ["outbox"];

const fn kept(table: &'static str, run: &'static str, own: Option<&'static str>) -> Kept {
    Kept { table, run, own }
}

/// Copies the only run of the database until there are `count` more. No process may have it open.
pub async fn fill(place: &Place, count: usize) -> anyhow::Result<()> {
    let filling = Filling::open(place).await?;
    let rows = filling.check().await?;
    ensure!(
        rows == ROWS_OF_A_RUN,
        "a run leaves {rows} rows, not {ROWS_OF_A_RUN}: the floor of throughput counts them, too"
    );
    let count = i64::try_from(count)?;
    let progress = Progress::new(&format!("storing {count} finished runs"), count as u64);
    let trigger = filling.let_numbers_in().await?;
    let mut first = 0;
    while first < count {
        let some = TOGETHER.min(count - first);
        filling.copy(first, some, count).await?;
        first += some;
        progress.by(some as u64);
    }
    filling.close(trigger).await
}

struct Filling {
    db: DatabaseConnection,
    sqlite: bool,
}

impl Filling {
    async fn open(place: &Place) -> anyhow::Result<Filling> {
        let (url, sqlite) = match place {
            Place::Embedded { dir, .. } => {
                (format!("sqlite://{}", dir.join("neena.db").display()), true)
            }
            Place::Cluster { own, .. } => (own.database_url.clone(), false),
        };
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        let db = Database::connect(options).await?;
        if sqlite {
            db.execute_unprepared("PRAGMA synchronous = OFF").await?;
        }
        Ok(Filling { db, sqlite })
    }

    async fn number(&self, sql: &str) -> anyhow::Result<i64> {
        let row = self.db.query_one_raw(self.statement(sql)).await?;
        Ok(row.context("no answer")?.try_get_by_index(0)?)
    }

    async fn texts(&self, sql: &str) -> anyhow::Result<Vec<String>> {
        let rows = self.db.query_all_raw(self.statement(sql)).await?;
        rows.iter()
            .map(|row| Ok(row.try_get_by_index(0)?))
            .collect()
    }

    fn statement(&self, sql: &str) -> Statement {
        let backend = match self.sqlite {
            true => DatabaseBackend::Sqlite,
            false => DatabaseBackend::Postgres,
        };
        Statement::from_string(backend, sql)
    }

    /// There is one run, it ended, and no table but those we know holds anything of it; how many rows they hold.
    async fn check(&self) -> anyhow::Result<usize> {
        let ended = "SELECT count(*) FROM flow_runs WHERE status = 'completed'";
        ensure!(
            self.number(ended).await? == 1,
            "there is not one run that ended"
        );
        let tables = match self.sqlite {
            true => {
                "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
                 WHERE m.type = 'table' AND c.name = 'run_id'"
            }
            false => {
                "SELECT table_name::text FROM information_schema.columns \
                 WHERE column_name = 'run_id' AND table_schema = 'public'"
            }
        };
        for table in self.texts(tables).await? {
            let known = KEPT.iter().any(|kept| kept.table == table);
            let rows = format!("SELECT count(*) FROM {table} WHERE run_id IS NOT NULL");
            let rows = self.number(&rows).await?;
            ensure!(
                known || SWEPT.contains(&table.as_str()) || rows == 0,
                "{table} keeps something of a finished run, too"
            );
        }
        let mut all = 0;
        for Kept { table, run, .. } in &KEPT {
            let sql = format!("SELECT count(*) FROM {table} WHERE {run} IS NOT NULL");
            let rows = self.number(&sql).await?;
            ensure!(rows > 0, "{table} keeps nothing of a finished run");
            all += usize::try_from(rows)?;
        }
        Ok(all)
    }

    /// The log takes no entries that bring their number. These do: nobody would be there to seal them.
    async fn let_numbers_in(&self) -> anyhow::Result<String> {
        if !self.sqlite {
            let sql = "ALTER TABLE decisions DISABLE TRIGGER USER";
            self.db.execute_unprepared(sql).await?;
            return Ok("ALTER TABLE decisions ENABLE TRIGGER USER".to_owned());
        }
        let sql = "SELECT sql FROM sqlite_master WHERE name = 'decisions_unnumbered'";
        let trigger = self.texts(sql).await?.pop().context("no trigger")?;
        let sql = "DROP TRIGGER decisions_unnumbered";
        self.db.execute_unprepared(sql).await?;
        Ok(trigger)
    }

    /// Copies number `first` and following, of `count`.
    async fn copy(&self, first: i64, some: i64, count: i64) -> anyhow::Result<()> {
        let series = format!(
            "WITH RECURSIVE s (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {})",
            first + some - 1
        );
        // One a millisecond, all of them older than the one that was made.
        let at = format!(
            "(SELECT triggered_time / 1000 - {count} - 1000 FROM flow_runs ORDER BY id DESC LIMIT 1)"
        );
        let run = self.id("s.n");
        let run = run.replace("AT", &at);
        self.db.execute_unprepared("BEGIN").await?;
        let sql = format!(
            "CREATE TEMP TABLE copies AS {series} SELECT n, {run} AS run, {at} AS at FROM s"
        );
        self.db.execute_unprepared(&sql).await?;
        let own = self.id("c.n").replace("AT", "c.at");
        let template = "(SELECT id FROM flow_runs ORDER BY id DESC LIMIT 1)";
        for kept in &KEPT {
            let (table, run_column) = (kept.table, kept.run);
            let columns = self.columns(table).await?;
            let values: Vec<String> = columns
                .iter()
                .map(|column| match column.as_str() {
                    column if column == run_column => "c.run".to_owned(),
                    column if Some(column) == kept.own => own.clone(),
                    "seq" => "(SELECT max(seq) FROM decisions) + row_number() OVER (ORDER BY c.n)"
                        .to_owned(),
                    column => format!("t.{column}"),
                })
                .collect();
            let sql = format!(
                "INSERT INTO {table} ({}) SELECT {} FROM copies c CROSS JOIN {table} t \
                 WHERE t.{run_column} = {template} ORDER BY c.n",
                columns.join(", "),
                values.join(", "),
            );
            self.db
                .execute_unprepared(&sql)
                .await
                .with_context(|| format!("cannot copy what {table} keeps"))?;
        }
        self.db.execute_unprepared("DROP TABLE copies").await?;
        self.db.execute_unprepared("COMMIT").await?;
        Ok(())
    }

    /// An id as they are made, of the millisecond `AT` + `n`.
    fn id(&self, n: &str) -> String {
        match self.sqlite {
            true => format!(
                "unhex(printf('%012x', AT + {n}) || '7' || substr(hex(randomblob(2)), 2) || '8' || substr(hex(randomblob(8)), 2))"
            ),
            false => format!(
                "(lpad(to_hex(AT + {n}), 12, '0') || '7' || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid"
            ),
        }
    }

    async fn columns(&self, table: &str) -> anyhow::Result<Vec<String>> {
        let sql = match self.sqlite {
            true => format!("SELECT name FROM pragma_table_info('{table}')"),
            false => format!(
                "SELECT column_name::text FROM information_schema.columns \
                 WHERE table_name = '{table}' AND table_schema = 'public' ORDER BY ordinal_position"
            ),
        };
        self.texts(&sql).await
    }

    /// Leaves the database as one that ran for long: with its statistics, and nothing in the log.
    async fn close(self, trigger: String) -> anyhow::Result<()> {
        let chain = "UPDATE decision_chains SET seq = (SELECT max(seq) FROM decisions)";
        let tidy: &[&str] = match self.sqlite {
            true => &[chain, &trigger, "PRAGMA wal_checkpoint(TRUNCATE)"],
            false => &[chain, &trigger, "VACUUM (ANALYZE)", "CHECKPOINT"],
        };
        for sql in tidy {
            self.db.execute_unprepared(sql).await?;
        }
        self.db.close().await?;
        Ok(())
    }
}
