//! One installation of Neena: a database, a prefix on the broker, and the way to start its processes.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::process::Command;

use crate::lab::Lab;

/// How long a process may take to be ready.
pub const READY: Duration = Duration::from_secs(60);

/// An installation.
#[derive(Debug)]
pub struct Site<'a> {
    pub lab: &'a Lab,
    pub dir: PathBuf,
    pub prefix: String,
    /// The checker's own way into the database, past every proxy.
    pub pool: PgPool,
    pub database: String,
    postgres: String,
    /// The broker.
    pub amqp: String,
    /// Further settings of every process.
    pub settings: Vec<(String, String)>,
    secret: String,
}

impl<'a> Site<'a> {
    /// A fresh database, migrated, with the checker's triggers in it.
    pub async fn open(lab: &'a Lab) -> anyhow::Result<Site<'a>> {
        Site::on(lab, &lab.servers.postgres).await
    }

    /// The same on another Postgres.
    pub async fn on(lab: &'a Lab, postgres: &str) -> anyhow::Result<Site<'a>> {
        let name = format!("chaos_{}", lab.next_site());
        let dir = lab.dir.join(&name);
        std::fs::create_dir_all(&dir)?;
        let admin = connect(&format!("{postgres}/postgres"), 1).await?;
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&admin)
            .await?;
        admin.close().await;
        let pool = connect(&format!("{postgres}/{name}"), 4).await?;
        let site = Site {
            lab,
            dir,
            prefix: name.clone(),
            pool,
            database: name,
            postgres: postgres.to_owned(),
            amqp: lab.servers.amqp.clone(),
            settings: vec![
                ("NEENA_LEASE_SECONDS".into(), "4".into()),
                ("NEENA_GRACE_SECONDS".into(), "5".into()),
                ("NEENA_WORKER_CONCURRENCY".into(), "8".into()),
            ],
            secret: format!("chaos-secret-of-at-least-32-characters-{}", lab.seed),
        };
        let migrated = site
            .command("migrate", "migrate", &Through::default())
            .output()
            .await
            .with_context(|| format!("cannot run {}", lab.neena.display()))?;
        if !migrated.status.success() {
            bail!(
                "neena migrate failed: {}",
                String::from_utf8_lossy(&migrated.stderr)
            );
        }
        sqlx::raw_sql(include_str!("watch.sql"))
            .execute(&site.pool)
            .await?;
        Ok(site)
    }

    /// Sets a setting of the processes started from now on.
    pub fn set(&mut self, name: &str, value: impl ToString) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_string()));
    }

    /// The program in a role; its sessions are called `app`.
    pub fn command(&self, role: &str, app: &str, through: &Through) -> Command {
        let mut command = Command::new(&self.lab.neena);
        for (name, _) in std::env::vars() {
            if name.starts_with("NEENA_") && name != "NEENA_PYTHON" {
                command.env_remove(name);
            }
        }
        let mut database = format!(
            "{}/{}?application_name={app}&sslmode=disable",
            self.postgres, self.database
        );
        if let Some(port) = through.postgres {
            database = with_port(&database, port);
        }
        let mut amqp = self.amqp.clone();
        if let Some(port) = through.amqp {
            amqp = with_port(&amqp, port);
        }
        let points = [self.lab.planted, through.failpoints.as_deref()];
        let points: Vec<&str> = points.into_iter().flatten().collect();
        command
            .arg(role)
            .env("NEENA_CONFIG", "/dev/null")
            .env("NEENA_DATABASE_URL", database)
            .env("NEENA_AMQP_URL", amqp)
            .env("NEENA_AMQP_PREFIX", &self.prefix)
            .env("NEENA_MASTER_KEY", &self.secret)
            .env("NEENA_JWT_SECRET", &self.secret)
            .env("NEENA_DATA_DIR", self.dir.join("data"))
            .env("FAILPOINTS", points.join(";"))
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.dir);
        command
    }

    /// A token of somebody who may do everything.
    pub async fn token(&self, email: &str) -> anyhow::Result<String> {
        let made = self
            .command("token", "token", &Through::default())
            .args([
                "--email",
                email,
                "--permissions",
                "read,write,approve,admin",
                "--ttl",
                "1d",
            ])
            .output()
            .await?;
        if !made.status.success() {
            bail!(
                "neena token failed: {}",
                String::from_utf8_lossy(&made.stderr)
            );
        }
        Ok(String::from_utf8(made.stdout)?.trim().to_owned())
    }

    /// The broker is at another port of this machine.
    pub fn broker_at(&mut self, port: u16) {
        self.amqp = with_port(&self.amqp, port);
    }

    /// Lets go of the database.
    pub async fn close(self) {
        self.pool.close().await;
    }
}

/// Where a process's connections go, and at which points it fails.
#[derive(Clone, Debug, Default)]
pub struct Through {
    pub postgres: Option<u16>,
    pub amqp: Option<u16>,
    pub failpoints: Option<String>,
}

impl Through {
    /// Fails at these points.
    pub fn failing(points: &str) -> Through {
        Through {
            failpoints: Some(points.to_owned()),
            ..Through::default()
        }
    }
}

/// A pool of the checker's own.
pub async fn connect(url: &str, connections: u32) -> anyhow::Result<PgPool> {
    let url = format!("{url}?application_name=checker&sslmode=disable");
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(60))
        .connect(&url)
        .await
        .with_context(|| format!("cannot reach {url}"))
}

/// The port of a URL.
pub fn port_of(url: &str) -> anyhow::Result<u16> {
    let (_, rest) = url.rsplit_once('@').context("a URL without an @")?;
    let (_, port) = rest.split_once(':').context("a URL without a port")?;
    let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}

fn with_port(url: &str, port: u16) -> String {
    match port_of(url) {
        Ok(old) => url.replacen(&format!(":{old}"), &format!(":{port}"), 1),
        Err(_) => url.to_owned(),
    }
}
