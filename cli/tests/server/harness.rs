//! Servers of our own, on free ports, with everything in a temporary directory: one `neena serve` on SQLite, or
//! (with `NEENA_TEST_STACK=cluster`) an API and workers on a database of Postgres and a prefix at RabbitMQ.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::ground::{Ground, clustered};
use crate::process::Process;

/// The integration that tests with effects use: each call appends its key to a file.
const SINK: &str = r#"
import os
import time
import uuid

from neena import context, integration, task


@integration(name="Sink", short_name="sink")
class Sink:
    """Leaves a trace of each call."""

    @task(name="Put a line")
    def put(self, file: str, value: int = 0) -> str:
        """Appends the task's key to a file and returns a word nobody can guess."""
        with open(file, "a") as sink:
            sink.write(context().idempotency_key + "\n")
        return uuid.uuid4().hex

    @task(name="Put a line and wait")
    def hold(self, file: str, seconds: float) -> str:
        """Appends the task's key to a file, then takes its time."""
        word = self.put(file)
        time.sleep(seconds)
        return word
"#;

/// Where the program keeps its data, across restarts.
pub struct Place {
    dir: TempDir,
    options: Vec<(String, String)>,
    ground: Option<Ground>,
}

/// A server under way: one process, or all of a cluster. Killed when dropped.
pub struct Server {
    processes: Vec<Process>,
    pub url: String,
    token: String,
    http: reqwest::Client,
}

impl Place {
    /// A place on the stack that the tests run on.
    pub fn new() -> Place {
        Place::on(clustered().then(Ground::fresh))
    }

    /// A place on SQLite, whatever the stack.
    pub fn on_sqlite() -> Place {
        Place::on(None)
    }

    /// A place on Postgres and RabbitMQ, migrated, whose servers host the sink.
    pub fn cluster() -> Place {
        let mut place = Place::bare_cluster();
        place.host_sink();
        place.migrate();
        place
    }

    /// A place on an empty database of Postgres, and RabbitMQ.
    pub fn bare_cluster() -> Place {
        Place::on(Some(Ground::fresh()))
    }

    fn on(ground: Option<Ground>) -> Place {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("sink.py"), SINK).unwrap();
        let mut place = Place {
            dir,
            options: Vec::new(),
            ground,
        };
        if let Some(ground) = &place.ground {
            place.options = ground.settings();
            // The shortest there is: what is taken over is waited for.
            place.set("NEENA_LEASE_SECONDS", "4");
        }
        place
    }

    /// A place whose servers host the sink integration.
    pub fn with_sink() -> Place {
        let mut place = Place::new();
        place.host_sink();
        place
    }

    fn host_sink(&mut self) {
        let sink = self.path("sink.py").display().to_string();
        self.set("NEENA_INTEGRATIONS", &sink);
    }

    /// The database and the prefix of a cluster.
    pub fn ground(&self) -> &Ground {
        self.ground.as_ref().unwrap()
    }

    /// Takes an environment variable away again.
    pub fn unset(&mut self, name: &str) {
        self.options.retain(|(known, _)| known != name);
    }

    /// Sets an environment variable of all programs started here.
    pub fn set(&mut self, name: &str, value: &str) {
        self.options.retain(|(known, _)| known != name);
        self.options.push((name.into(), value.into()));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    /// The program, with a clean environment but for what it needs.
    pub fn neena(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_neena"));
        for (name, _) in std::env::vars() {
            if name.starts_with("NEENA_") && name != "NEENA_PYTHON" {
                command.env_remove(name);
            }
        }
        command.envs(self.options.iter().map(|(name, value)| (name, value)));
        command.env("NEENA_DATA_DIR", self.data_dir());
        command.current_dir(self.dir.path());
        command
    }

    /// Starts a server, or a cluster of one API and two workers, and waits until it is ready.
    pub fn serve(&self) -> Server {
        if self.ground.is_some() {
            self.migrate();
            let workers = [self.begin_worker("one"), self.begin_worker("two")];
            let mut server = self.api();
            server.processes.extend(workers.map(|worker| {
                worker.ready("neena worker ");
                worker
            }));
            return server;
        }
        self.alone()
    }

    /// Starts one `neena serve`.
    pub fn alone(&self) -> Server {
        self.server(&["serve", "--bind", "127.0.0.1:0"], "neena is ready on ")
    }

    /// Starts one `neena api`.
    pub fn api(&self) -> Server {
        self.server(&["api", "--bind", "127.0.0.1:0"], "neena api is ready on ")
    }

    /// Starts one `neena worker` and waits until it is ready.
    pub fn worker(&self, name: &str) -> Process {
        let worker = self.begin_worker(name);
        worker.ready("neena worker ");
        worker
    }

    fn begin_worker(&self, name: &str) -> Process {
        self.process(&["worker", "--name", name])
    }

    fn server(&self, args: &[&str], ready: &str) -> Server {
        let process = self.process(args);
        let url = process.ready(ready);
        let token = std::fs::read_to_string(self.data_dir().join("token")).unwrap();
        Server {
            processes: vec![process],
            url,
            token: token.trim().to_owned(),
            http: reqwest::Client::new(),
        }
    }

    /// Starts the program with these arguments; its log is this place's.
    pub fn process(&self, args: &[&str]) -> Process {
        let mut command = self.neena();
        command.args(args);
        Process::start(command, self.path("log"))
    }

    /// A token of somebody who may approve.
    pub fn approver(&self, email: &str) -> String {
        let mut command = self.neena();
        command.args(["token", "--permissions", "read,approve", "--email", email]);
        let made = command.output().unwrap();
        assert!(made.status.success(), "{made:?}");
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    /// Brings the database up to date.
    pub fn migrate(&self) {
        let migrated = self.neena().arg("migrate").output().unwrap();
        assert!(migrated.status.success(), "{migrated:?}");
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Server {
    /// The same server, called by somebody else; its processes stay where they are.
    pub fn called_by(&self, token: &str) -> Server {
        Server {
            processes: Vec::new(),
            url: self.url.clone(),
            token: token.to_owned(),
            http: reqwest::Client::new(),
        }
    }

    /// `kill -9` of all its processes.
    pub fn kill(&mut self) {
        self.processes.iter_mut().for_each(Process::kill);
    }

    /// SIGTERM to all its processes, how long it took until they had exited, and how the last one did that did
    /// not exit well.
    pub fn terminate(mut self) -> (Duration, ExitStatus) {
        let began = Instant::now();
        self.processes.iter().for_each(Process::terminate);
        let ended = self.processes.iter_mut().map(Process::ended);
        let ended: Vec<ExitStatus> = ended.collect();
        let bad = ended.iter().find(|status| !status.success());
        (began.elapsed(), *bad.unwrap_or(&ended[0]))
    }

    /// One call of the API; the status and the JSON answer.
    pub async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<(u16, Value)> {
        let mut request = self
            .http
            .request(method, format!("{}/api/v1{path}", self.url))
            .bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        Ok((status, response.json().await?))
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.call(reqwest::Method::GET, path, None).await.unwrap();
        assert_eq!(status, 200, "GET {path}: {answer}");
        answer
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self
            .call(reqwest::Method::POST, path, Some(body))
            .await
            .unwrap();
        assert_eq!(status, 200, "POST {path}: {answer}");
        answer
    }

    /// Comes back while the server has too much to do, as it asks for.
    pub async fn put(&self, path: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (status, answer) = self.call(reqwest::Method::PUT, path, None).await.unwrap();
            if status != 503 || Instant::now() > deadline {
                assert_eq!(status, 200, "PUT {path}: {answer}");
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Ids of all task definitions by method.
    pub async fn definition(&self, method: &str) -> Value {
        let all = self.get("/task_definitions/all?limit=1000").await;
        let found = all
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["python_method_name"] == method);
        found.unwrap_or_else(|| panic!("no task definition {method}"))["id"].clone()
    }

    /// A flow of these operations: (method, arguments, indexes it waits for).
    pub async fn flow(&self, name: &str, operations: &[(&str, Value, &[usize])]) -> Value {
        self.flow_asking(name, json!(null), operations).await
    }

    /// The same, with a policy of its own.
    pub async fn flow_asking(
        &self,
        name: &str,
        approval: Value,
        operations: &[(&str, Value, &[usize])],
    ) -> Value {
        let mut task_operations = Vec::new();
        let mut dependencies = Vec::new();
        for (index, (method, arguments, inputs)) in operations.iter().enumerate() {
            task_operations.push(json!({
                "name": format!("step {index}"),
                "task_definition": self.definition(method).await,
                "index": index,
                "arguments": arguments,
            }));
            for input in *inputs {
                dependencies.push(json!({
                    "source_task_operation": input,
                    "target_task_operation": index,
                }));
            }
        }
        let flow = json!({
            "name": name,
            "approval": approval,
            "task_operations": task_operations,
            "dependencies": dependencies,
        });
        self.post("/flows/", flow).await["id"].clone()
    }

    /// A request and a run of `flow`, not approved yet; the run's id.
    pub async fn run(&self, flow: &Value) -> String {
        let request = json!({ "request_instructions": "Run it for a test.", "flow": flow });
        let request = self.post("/flow_requests/", request).await["id"].clone();
        let run = self
            .post(
                "/flow_runs/",
                json!({ "flow": flow, "flow_request": request }),
            )
            .await;
        run["id"].as_str().unwrap().to_owned()
    }

    pub async fn approve(&self, run: &str) -> Value {
        self.put(&format!("/flow_runs/approve?flow_run_id={run}"))
            .await
    }

    /// Reads the run again and again until it has ended.
    pub async fn ended(&self, run: &str, within: Duration) -> Value {
        let deadline = Instant::now() + within;
        loop {
            let view = self
                .get(&format!("/flow_runs/with_flow_result?id={run}"))
                .await;
            let status = view["status"].as_str().unwrap();
            if !matches!(status, "pending" | "in_progress") {
                return view;
            }
            assert!(Instant::now() < deadline, "the run has not ended: {view:#}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The lines a sink file holds.
pub fn lines(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
