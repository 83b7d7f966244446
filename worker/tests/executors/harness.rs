//! An integration written by a test, hosted in real Python processes.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use neena_engine::Json;
use neena_engine::ids::RunId;
use neena_engine::run::{Outcome, TaskError, TaskKey};
use neena_worker::executors::python::{Hosted, Interpreter, PythonHosts, Settings};
use neena_worker::executors::{Call, Executor};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What every test's integration begins with.
const PROLOGUE: &str = r#"
import asyncio, ctypes, dataclasses, datetime, math, os, signal, socket, subprocess, sys, time
import neena
from neena import Fatal, context, integration, task

def meet(path):
    """Connects to the test's listener; the connection lives as long as the process and its children."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    connection.set_inheritable(True)
    return connection
"#;

/// A hosted integration called `probe`.
pub struct Fixture {
    pub folder: TempDir,
    pub hosts: PythonHosts,
    pub hosted: Hosted,
}

/// Where all tests have the Python package written: its folder is named after its content.
pub const SDK: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/sdk");

pub async fn settings() -> Settings {
    Settings::new(Interpreter::find().await.unwrap(), SDK.into(), 8)
}

/// Writes a file of tasks: the body of a class.
pub fn write(folder: &Path, name: &str, body: &str) -> PathBuf {
    let indented: String = body.lines().map(|line| format!("    {line}\n")).collect();
    let path = folder.join(name);
    let head = "@integration(name=\"Probe\", short_name=\"probe\")\nclass Probe:\n";
    std::fs::write(&path, format!("{PROLOGUE}\n{head}{indented}")).unwrap();
    path
}

pub async fn hosting(body: &str) -> Fixture {
    hosting_with(body, |_| {}).await
}

pub async fn hosting_with(body: &str, change: impl FnOnce(&mut Settings)) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "probe.py", body);
    let mut settings = settings().await;
    change(&mut settings);
    let hosts = PythonHosts::new(settings).unwrap();
    let hosted = hosts.host(&path).await.unwrap().remove(0);
    Fixture {
        folder,
        hosts,
        hosted,
    }
}

impl Fixture {
    pub fn asked(&self, method: &str, arguments: &Value) -> Call {
        Call {
            run: RunId(Uuid::from_u128(7)),
            epoch: 1,
            key: TaskKey {
                index: 3,
                item: None,
            },
            attempt: 1,
            integration: self.hosted.short_name.clone(),
            method: method.to_owned(),
            code_digest: self.hosted.code_digest.clone(),
            arguments: Json::of(arguments),
            timeout: None,
        }
    }

    pub async fn run(&self, call: Call) -> Outcome {
        self.hosts.run(call, CancellationToken::new()).await
    }

    pub async fn call(&self, method: &str, arguments: Value) -> Outcome {
        self.run(self.asked(method, &arguments)).await
    }

    pub async fn value(&self, method: &str, arguments: Value) -> Value {
        value(self.call(method, arguments).await)
    }

    pub async fn error(&self, method: &str, arguments: Value) -> TaskError {
        error(self.call(method, arguments).await)
    }

    /// Id of the process that takes the next call.
    pub async fn pid(&self) -> u64 {
        self.value("pid", json!({})).await.as_u64().unwrap()
    }

    pub fn size(&self) -> usize {
        self.hosts
            .size(&self.hosted.short_name, &self.hosted.code_digest)
    }

    /// A meeting place for [`PROLOGUE`]'s `meet`.
    pub fn meeting(&self) -> (UnixListener, String) {
        let path = self
            .folder
            .path()
            .join(format!("meeting-{}", Uuid::now_v7().simple()));
        let listener = UnixListener::bind(&path).unwrap();
        (listener, path.to_str().unwrap().to_owned())
    }
}

/// A task that tells which process it ran in.
pub const PID: &str = "
@task(name='Process id')
def pid(self):
    return os.getpid()
";

pub fn value(outcome: Outcome) -> Value {
    match outcome {
        Outcome::Completed(result) => serde_json::from_str(result.text()).unwrap(),
        other => panic!("{other:?}"),
    }
}

pub fn error(outcome: Outcome) -> TaskError {
    match outcome {
        Outcome::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

/// Resolves once every process that held the other end is gone.
pub async fn deserted(stream: UnixStream) {
    let mut std = stream.into_std().unwrap();
    std.set_nonblocking(false).unwrap();
    std.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let left = tokio::task::spawn_blocking(move || {
        let mut buffer = Vec::new();
        std.read_to_end(&mut buffer)
    });
    assert!(left.await.unwrap().is_ok(), "a process is left");
}
