//! A bus at a broker, with a prefix of its own, and a raw connection beside it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use lapin::options::{
    BasicPublishOptions, ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use neena_bus::remote::{RemoteTask, TaskBus, TaskQueue};
use neena_bus::{Bus, Rabbit, RabbitConfig, Standing};
use neena_engine::Json;
use neena_engine::ids::{OrganizationId, RunId};
use uuid::Uuid;

pub const MASTER_KEY: &str = "a master key of thirty-two chars";

/// Longer than anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A bus at a broker.
pub struct Place {
    pub bus: Rabbit,
    pub tasks: Arc<dyn TaskBus>,
    pub prefix: String,
    pub raw: Raw,
}

/// What tests do behind the back of the bus.
pub struct Raw {
    connection: Connection,
    prefix: String,
}

/// The broker of this test run; says so if there is none.
pub fn broker() -> Option<String> {
    let url = std::env::var("NEENA_TEST_AMQP_URL").ok();
    if url.is_none() {
        eprintln!("SKIPPED: NEENA_TEST_AMQP_URL names no broker; see scripts/servers");
    }
    url
}

pub fn config(url: &str) -> RabbitConfig {
    RabbitConfig {
        prefix: format!("test-{}", &Uuid::new_v4().simple().to_string()[..12]),
        master_key: Some(MASTER_KEY.to_owned()),
        ..RabbitConfig::new(url)
    }
}

impl Place {
    /// At the broker of this test run, if there is one.
    pub async fn make() -> Option<Place> {
        Some(Place::at(&broker()?).await)
    }

    pub async fn at(url: &str) -> Place {
        Place::with(config(url), url).await
    }

    /// A bus that may go by a proxy; `url` is the broker's own.
    pub async fn with(config: RabbitConfig, url: &str) -> Place {
        let prefix = config.prefix.clone();
        let bus = Rabbit::start(config).unwrap();
        let tasks = bus.tasks_bus().unwrap();
        let raw = Raw::connect(url, &prefix).await;
        let place = Place {
            bus,
            tasks,
            prefix,
            raw,
        };
        place.stands(Standing::Up).await;
        place
    }

    pub async fn stands(&self, standing: Standing) {
        let alike = |now: &Standing| match (now, &standing) {
            (Standing::Down(_), Standing::Down(_)) => true,
            (Standing::Blocked(_), Standing::Blocked(_)) => true,
            (now, then) => now == then,
        };
        eventually("the bus stands as expected", async || {
            alike(&self.bus.standing())
        })
        .await;
    }

    /// Closes the bus and deletes everything of it.
    pub async fn clean(self) {
        self.bus.close().await;
        self.raw.clean().await;
    }
}

impl Raw {
    pub async fn connect(url: &str, prefix: &str) -> Raw {
        Raw {
            connection: Connection::connect(url, ConnectionProperties::default())
                .await
                .unwrap(),
            prefix: prefix.to_owned(),
        }
    }

    /// A queue or an exchange of this place.
    pub fn name(&self, what: &str) -> String {
        format!("{}.{what}", self.prefix)
    }

    pub async fn channel(&self) -> Channel {
        self.connection.create_channel().await.unwrap()
    }

    /// How many messages are ready in a queue; none if there is no such queue.
    pub async fn count(&self, what: &str) -> Option<u32> {
        let channel = self.channel().await;
        let options = QueueDeclareOptions::default().passive();
        let name = self.name(what).into();
        let queue = channel.queue_declare(name, options, FieldTable::default());
        queue.await.ok().map(|queue| queue.message_count())
    }

    pub async fn counts(&self, what: &str, count: u32) {
        let says = format!("{what} holds {count} messages");
        eventually(&says, async || self.count(what).await == Some(count)).await;
    }

    /// Puts bytes into a queue.
    pub async fn put(&self, what: &str, body: &[u8], properties: BasicProperties) {
        let channel = self.channel().await;
        let options = BasicPublishOptions::default();
        let name = self.name(what).into();
        let sent = channel.basic_publish("".into(), name, options, body, properties);
        sent.await.unwrap().await.unwrap();
        channel.close(200, "".into()).await.unwrap();
    }

    pub async fn clean(&self) {
        let channel = self.channel().await;
        for queue in ["runs", "dead"] {
            let options = QueueDeleteOptions::default();
            let _ = channel.queue_delete(self.name(queue).into(), options).await;
        }
        for exchange in ["events", "dead"] {
            let options = ExchangeDeleteOptions::default();
            let name = self.name(exchange).into();
            let _ = channel.exchange_delete(name, options).await;
        }
    }
}

/// A broker of a test's own, which it may break.
pub struct Broker {
    dir: PathBuf,
    pub url: String,
}

impl Broker {
    /// Started if this test run has brokers at all.
    pub async fn start() -> Option<Broker> {
        broker()?;
        let dir = std::env::temp_dir().join(format!("neena-broker-{}", Uuid::new_v4().simple()));
        let mut broker = Broker {
            dir,
            url: String::new(),
        };
        let exports = broker.servers(&["start", "rabbitmq"]).await;
        let url = exports
            .lines()
            .find_map(|line| line.strip_prefix("export NEENA_TEST_AMQP_URL="));
        broker.url = url.unwrap().to_owned();
        Some(broker)
    }

    /// `scripts/servers`, on this broker.
    pub async fn servers(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(root().join("scripts/servers"));
        command
            .arg(arguments[0])
            .arg(&self.dir)
            .args(&arguments[1..]);
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.unwrap().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// `rabbitmqctl`, on this broker.
    pub async fn ctl(&self, arguments: &[&str]) -> String {
        let mut all = vec!["ctl"];
        all.extend(arguments);
        self.servers(&all).await
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let servers = root().join("scripts/servers");
        let _ = Command::new(servers).arg("kill").arg(&self.dir).status();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Waits for a condition, with a deadline.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let until = tokio::time::Instant::now() + PATIENCE;
    while !condition().await {
        assert!(
            tokio::time::Instant::now() < until,
            "never came true: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for an answer, with a deadline.
pub async fn soon<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(|_| panic!("no answer in {PATIENCE:?}"))
}

/// Whether nothing comes for a moment.
pub async fn nothing<T>(answer: impl Future<Output = T>) -> bool {
    tokio::time::timeout(Duration::from_millis(300), answer)
        .await
        .is_err()
}

/// The queue of an integration's code.
pub fn queue(integration: &str) -> TaskQueue {
    TaskQueue {
        integration: integration.to_owned(),
        digest: Some("0123456789abcdef".repeat(4)),
    }
}

pub fn task(integration: &str, number: u128) -> RemoteTask {
    RemoteTask {
        v: neena_bus::remote::TASK_V,
        dispatch: Uuid::from_u128(number),
        run: RunId(Uuid::from_u128(number + 1)),
        organization: OrganizationId(Uuid::from_u128(7)),
        epoch: 3,
        index: 2,
        item: Some(5),
        attempt: 1,
        key: "run:2:5".to_owned(),
        integration: integration.to_owned(),
        method: "shrink".to_owned(),
        code_digest: "0123456789abcdef".repeat(4),
        arguments: Json::trusted(r#"{"width": 1.50, "name": "ü"}"#),
        timeout_ms: Some(1_000),
        repeatable: true,
        permit: false,
        reply_to: "nowhere".to_owned(),
    }
}
