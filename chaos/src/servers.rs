//! The throwaway Postgres and RabbitMQ that everything runs against, kept by `scripts/servers`.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context, bail};
use tokio::process::Command;

/// One of the two.
#[derive(Clone, Copy, Debug)]
pub enum Server {
    Postgres,
    Rabbit,
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Server::Postgres => "postgres",
            Server::Rabbit => "rabbitmq",
        }
    }
}

/// Servers in a folder of their own; stopped when dropped.
#[derive(Debug)]
pub struct Servers {
    script: PathBuf,
    dir: PathBuf,
    /// `postgres://…@host:port`, without a database.
    pub postgres: String,
    pub amqp: String,
}

impl Servers {
    /// Starts both (or one) in `dir`.
    pub async fn start(
        repository: &Path,
        dir: &Path,
        only: Option<Server>,
    ) -> anyhow::Result<Servers> {
        let script = repository.join("scripts/servers");
        std::fs::create_dir_all(dir)?;
        let mut servers = Servers {
            script,
            dir: dir.to_owned(),
            postgres: String::new(),
            amqp: String::new(),
        };
        let told = match only {
            Some(server) => servers.call("start", &[server.name()]).await?,
            None => servers.call("start", &[]).await?,
        };
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let value = |name: &str| {
            told.lines()
                .find_map(|line| line.strip_prefix(&format!("export {name}=")))
                .map(|value| value.trim_matches(['\'', '"']).to_owned())
                .with_context(|| format!("scripts/servers did not tell {name}"))
        };
        let database = value("NEENA_TEST_DATABASE_URL")?;
        servers.postgres = match database.rsplit_once('/') {
            Some((server, _)) => server.to_owned(),
            None => bail!("no database in {database}"),
        };
        servers.amqp = value("NEENA_TEST_AMQP_URL")?;
        Ok(servers)
    }

    /// Starts one again, on its old data and port.
    pub async fn up(&self, server: Server) -> anyhow::Result<()> {
        self.call("start", &[server.name()]).await.map(drop)
    }

    /// Stops one in good order.
    pub async fn down(&self, server: Server) -> anyhow::Result<()> {
        self.call("stop", &[server.name()]).await.map(drop)
    }

    /// Ends one without notice.
    pub async fn kill(&self, server: Server) -> anyhow::Result<()> {
        self.call("kill", &[server.name()]).await.map(drop)
    }

    /// What the broker had on its disk is gone (it must be down).
    pub fn wipe_rabbit(&self) -> anyhow::Result<()> {
        std::fs::remove_dir_all(self.dir.join("rabbitmq/data"))
            .context("cannot wipe the broker's data")
    }

    /// The broker's log.
    pub fn rabbit_log(&self) -> String {
        std::fs::read_to_string(self.dir.join("rabbitmq.log")).unwrap_or_default()
    }

    /// `rabbitmqctl`; what it printed.
    pub async fn ctl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.call("ctl", arguments).await?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn call(&self, what: &str, arguments: &[&str]) -> anyhow::Result<Output> {
        // To files, not pipes: a server that is started keeps them open.
        let out = self.dir.join(format!("{what}.out"));
        let errors = self.dir.join(format!("{what}.err"));
        let status = Command::new(&self.script)
            .arg(what)
            .arg(&self.dir)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&out)?)
            .stderr(std::fs::File::create(&errors)?)
            .status()
            .await
            .with_context(|| format!("cannot run {}", self.script.display()))?;
        let output = Output {
            status,
            stdout: std::fs::read(&out)?,
            stderr: std::fs::read(&errors)?,
        };
        if !output.status.success() {
            bail!(
                "scripts/servers {what} {arguments:?} failed: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(output)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let stopped = std::process::Command::new(&self.script)
            .arg("stop")
            .arg(&self.dir)
            .stdin(Stdio::null())
            .status();
        if !stopped.is_ok_and(|status| status.success()) {
            eprintln!("the servers in {} may still run", self.dir.display());
        }
    }
}
