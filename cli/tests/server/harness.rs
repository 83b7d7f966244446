//! A `neena serve` of our own, on a free port, with everything in a temporary directory.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The integration that tests with effects use: each call appends its key to a file.
const SINK: &str = r#"
import os
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
"#;

/// Where the program keeps its data, across restarts.
pub struct Place {
    dir: TempDir,
    options: Vec<(String, String)>,
}

/// A server under way; killed when dropped.
pub struct Server {
    process: Child,
    pub url: String,
    token: String,
    http: reqwest::Client,
}

impl Place {
    pub fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("sink.py"), SINK).unwrap();
        Place {
            dir,
            options: Vec::new(),
        }
    }

    /// A place whose servers host the sink integration.
    pub fn with_sink() -> Place {
        let mut place = Place::new();
        let sink = place.path("sink.py").display().to_string();
        place.options.push(("NEENA_INTEGRATIONS".into(), sink));
        place
    }

    /// Sets an environment variable of all programs started here.
    pub fn set(&mut self, name: &str, value: &str) {
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

    /// Starts a server and waits for its ready line.
    pub fn serve(&self) -> Server {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("log"));
        let mut process = self
            .neena()
            .args(["serve", "--bind", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(log.unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let Some(url) = line.trim().strip_prefix("neena is ready on ") else {
            panic!("no ready line but {line:?}; the log says:\n{}", self.log());
        };
        let token = std::fs::read_to_string(self.data_dir().join("token")).unwrap();
        Server {
            process,
            url: url.to_owned(),
            token: token.trim().to_owned(),
            http: reqwest::Client::new(),
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Server {
    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// SIGTERM, and how long it took to exit.
    pub fn terminate(mut self) -> (Duration, std::process::ExitStatus) {
        let began = Instant::now();
        let pid = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        let status = self.process.wait().unwrap();
        (began.elapsed(), status)
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

    pub async fn put(&self, path: &str) -> Value {
        let (status, answer) = self.call(reqwest::Method::PUT, path, None).await.unwrap();
        assert_eq!(status, 200, "PUT {path}: {answer}");
        answer
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

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone, or not: either way it must not outlive the test.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The lines a sink file holds.
pub fn lines(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
