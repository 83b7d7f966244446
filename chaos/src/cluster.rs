//! Three RabbitMQ nodes on one machine, with names, ports and data of their own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::process::Command;

use crate::process::Process;

const PROGRAMS: &str = "/usr/lib/rabbitmq/bin";
const NODES: usize = 3;

/// The cluster; its nodes are killed when dropped.
#[derive(Debug)]
pub struct Cluster {
    dir: PathBuf,
    epmd_port: u16,
    _epmd: Process,
    pub nodes: Vec<Node>,
}

/// One of them.
#[derive(Debug)]
pub struct Node {
    pub name: String,
    pub port: u16,
    dist: u16,
    process: Process,
}

impl Cluster {
    /// Starts all three and waits until they are one.
    pub async fn start(dir: &Path) -> anyhow::Result<Cluster> {
        std::fs::create_dir_all(dir)?;
        let epmd_port = free_port()?;
        let mut epmd = Command::new("epmd");
        epmd.args(["-port", &epmd_port.to_string(), "-address", "127.0.0.1"]);
        let epmd = Process::start("epmd", epmd, dir)?;
        let mut places = Vec::new();
        for index in 0..NODES {
            places.push((
                format!("chaos{index}-{epmd_port}@localhost"),
                free_port()?,
                free_port()?,
            ));
        }
        let names: Vec<String> = (1..)
            .zip(&places)
            .map(|(number, (name, ..))| {
                format!("cluster_formation.classic_config.nodes.{number} = {name}\n")
            })
            .collect();
        for (name, port, _) in &places {
            let own = dir.join(name);
            std::fs::create_dir_all(own.join("data"))?;
            std::fs::write(own.join("plugins"), "[].")?;
            let settings = format!(
                "listeners.tcp.local = 127.0.0.1:{port}\nlog.console.level = error\ndisk_free_limit.absolute = 50MB\n\
                 cluster_formation.peer_discovery_backend = classic_config\n{}",
                names.concat()
            );
            std::fs::write(own.join("rabbitmq.conf"), settings)?;
            let cookie = own.join(".erlang.cookie");
            std::fs::write(&cookie, "NEENACHAOS")?;
            std::fs::set_permissions(&cookie, std::os::unix::fs::PermissionsExt::from_mode(0o400))?;
        }
        let mut nodes = Vec::new();
        for (name, port, dist) in places {
            let process = spawn(dir, epmd_port, &name, dist)?;
            nodes.push(Node {
                name,
                port,
                dist,
                process,
            });
        }
        let cluster = Cluster {
            dir: dir.to_owned(),
            epmd_port,
            _epmd: epmd,
            nodes,
        };
        cluster.whole(Duration::from_secs(120)).await?;
        Ok(cluster)
    }

    /// `kill -9` of a node.
    pub async fn kill(&mut self, index: usize) -> anyhow::Result<()> {
        self.nodes[index].process.kill().await
    }

    /// Starts it again.
    pub fn revive(&mut self, index: usize) -> anyhow::Result<()> {
        let node = &mut self.nodes[index];
        node.process = spawn(&self.dir, self.epmd_port, &node.name, node.dist)?;
        Ok(())
    }

    /// Waits until all nodes are members and run.
    pub async fn whole(&self, within: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let said = self
                .ask(&["eval", "length(rabbit_nodes:all_running())."])
                .await
                .unwrap_or_else(|error| error.to_string());
            if said.trim() == NODES.to_string() {
                return Ok(());
            }
            if began.elapsed() > within {
                bail!("the cluster is not whole after {within:?}: {said}");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// The index of the node that leads a queue.
    pub async fn leader(&self, queue: &str) -> anyhow::Result<usize> {
        let said = self
            .ask(&["--quiet", "list_queues", "name", "leader"])
            .await?;
        let line = said
            .lines()
            .find_map(|line| line.strip_prefix(queue))
            .context("no such queue")?;
        let found = self.nodes.iter().position(|node| node.name == line.trim());
        found.with_context(|| format!("no leader in {line:?}"))
    }

    /// `rabbitmqctl` at the first node that answers.
    async fn ask(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut last = String::new();
        for node in &self.nodes {
            let output = program(
                &self.dir,
                self.epmd_port,
                &node.name,
                node.dist,
                "rabbitmqctl",
            )
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .await?;
            if output.status.success() {
                return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
            }
            last = String::from_utf8_lossy(&output.stderr).into_owned();
        }
        bail!("rabbitmqctl {arguments:?}: {last}")
    }
}

fn spawn(dir: &Path, epmd: u16, name: &str, dist: u16) -> anyhow::Result<Process> {
    let command = program(dir, epmd, name, dist, "rabbitmq-server");
    Process::start(name.split('@').next().unwrap_or(name), command, dir)
}

fn program(dir: &Path, epmd: u16, name: &str, dist: u16, program: &str) -> Command {
    let own = dir.join(name);
    let mut command = Command::new(format!("{PROGRAMS}/{program}"));
    command
        .current_dir(&own)
        // Replaced by the broker itself, so that its process id is the one we know.
        .env("RUNNING_UNDER_SYSTEMD", "true")
        .env_remove("NOTIFY_SOCKET")
        .env("HOME", &own)
        .env("RABBITMQ_HOME_DIR", &own)
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_NODENAME", name)
        .env("RABBITMQ_DIST_PORT", dist.to_string())
        .env("RABBITMQ_MNESIA_BASE", own.join("data"))
        .env("RABBITMQ_LOG_BASE", own.join("log"))
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_CONFIG_FILE", own.join("rabbitmq.conf"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", own.join("plugins"))
        .env("RABBITMQ_PID_FILE", own.join("pid"))
        .env("ERL_EPMD_PORT", epmd.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-kernel inet_dist_use_interface {127,0,0,1}",
        );
    command
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port())
}
