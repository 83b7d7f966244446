//! The product as its users run it: `neena serve`, or `neena api` with `neena worker`, as processes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use neena::node::bring_up_to_date;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::http::Connection;
use crate::machine;
use crate::stack::{Place, Stack};
use crate::used::Used;

/// How long a process may take to say that it is ready.
const READY: Duration = Duration::from_secs(60);

/// Processes that serve one installation; killed when dropped.
#[derive(Debug)]
pub struct Server {
    pub url: String,
    pub token: String,
    /// From its start to its ready line, of the process that answers.
    pub ready: Duration,
    processes: Vec<Child>,
}

/// Where an installation is put up.
#[derive(Debug)]
pub struct Site {
    pub program: PathBuf,
    pub place: Place,
    dir: PathBuf,
}

/// Something that was made.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Made {
    pub id: Uuid,
}

/// A flow of one task, and a request for it.
#[derive(Clone, Copy, Debug)]
pub struct Single {
    pub flow: Uuid,
    pub request: Uuid,
}

impl Site {
    /// A place of its own, with a schema. `dir` stays until after the site.
    pub async fn new(program: &Path, stack: &Stack, dir: &Path) -> anyhow::Result<Site> {
        let site = Site {
            program: program.to_owned(),
            place: stack.place(dir).await?,
            dir: dir.to_owned(),
        };
        let db = site.place.backends().open().await?;
        bring_up_to_date(&db).await?;
        db.close().await;
        Ok(site)
    }

    /// Starts everything, and waits until it is ready.
    pub async fn start(&self) -> anyhow::Result<Server> {
        let mut processes = Vec::new();
        let roles: &[&str] = match self.place {
            Place::Embedded { .. } => &["serve"],
            Place::Cluster { .. } => &["worker", "api"],
        };
        let (mut url, mut ready) = (String::new(), Duration::ZERO);
        for role in roles {
            let began = Instant::now();
            let (child, line) = self.process(role).await?;
            ready = began.elapsed();
            if let Some((_, address)) = line.split_once("is ready on ") {
                url = address.trim().to_owned();
            }
            processes.push(child);
        }
        ensure!(!url.is_empty(), "no process told its address");
        Ok(Server {
            url,
            token: std::fs::read_to_string(self.dir.join("token"))?
                .trim()
                .to_owned(),
            ready,
            processes,
        })
    }

    /// Starts a process and waits for its first line.
    async fn process(&self, role: &str) -> anyhow::Result<(Child, String)> {
        let mut command = Command::new(&self.program);
        command.arg(role);
        // What a developer has set is not measured.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("NEENA_")) {
                command.env_remove(name);
            }
        }
        command
            .env("NEENA_CONFIG", "/dev/null")
            .env("NEENA_LOG", "warn")
            .env("NEENA_DATA_DIR", &self.dir);
        if role != "worker" {
            command.env("NEENA_BIND", "127.0.0.1:0");
        }
        match &self.place {
            Place::Embedded { durability, .. } => {
                let level = format!("{durability:?}").to_lowercase();
                command.env("NEENA_DURABILITY", level);
            }
            Place::Cluster { own, .. } => {
                command.envs(own.environment());
            }
        }
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        let said = child.stdout.take().context("the process says nothing")?;
        let mut lines = BufReader::new(said).lines();
        let line = tokio::time::timeout(READY, lines.next_line()).await??;
        let line = line.unwrap_or_default();
        ensure!(
            line.contains("is ready"),
            "neena {role} did not start: {}",
            std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
        );
        Ok((child, line))
    }
}

impl Server {
    pub async fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(&self.url, &self.token).await
    }

    /// Makes a flow of one built-in task, and a request for it.
    pub async fn single(&self) -> anyhow::Result<Single> {
        let catalogue = machine::catalogue();
        let mut all = catalogue.values();
        let echo = all.find(|one| one.method == "core.echo");
        let echo = echo.context("there is no core.echo")?.id;
        let mut api = self.connect().await?;
        let flow = json!({
            "name": "Measured",
            "task_operations":
                [{"index": 0, "name": "Step", "task_definition": echo.0, "arguments": {"n": 1}}],
            "dependencies": [],
        });
        let flow: Made = api.post("/flows/", flow.to_string()).await?;
        let request = json!({
            "request_instructions": "Measure one step.",
            "request_metadata": [],
            "flow": flow.id,
        });
        let request: Made = api.post("/flow_requests/", request.to_string()).await?;
        Ok(Single {
            flow: flow.id,
            request: request.id,
        })
    }

    /// What its processes use together.
    pub fn used(&self) -> anyhow::Result<Used> {
        let mut sum = Used::default();
        for process in &self.processes {
            let one = Used::of(process.id().context("a process ended")?)?;
            sum.resident_mb += one.resident_mb;
            sum.cpu_seconds += one.cpu_seconds;
            sum.descriptors += one.descriptors;
        }
        Ok(sum)
    }

    /// Ends its processes; what they held is thrown away anyway.
    pub async fn stop(self) -> anyhow::Result<()> {
        for mut child in self.processes {
            child.kill().await?;
        }
        Ok(())
    }
}
