//! A directory of its own for each test, and the program run in it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The working directory of a test.
#[derive(Debug)]
pub struct Place {
    dir: tempfile::TempDir,
}

/// What the program said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Place {
    /// An empty directory.
    pub fn new() -> Place {
        Place {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Puts a file into it.
    pub fn file(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// Runs the program there, with no `NEENA_…` variable but these.
    pub fn neena(&self, args: &[&str], env: &[(&str, &str)]) -> Said {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(args, env).output().unwrap();
        Said {
            code: status.code().unwrap(),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }

    /// Serves the directory's `neena-data` on a free port until the server is dropped.
    pub fn serve(&self) -> Server<'_> {
        self.serve_with(&[])
    }

    /// Serves with more options.
    pub fn serve_with(&self, options: &[&str]) -> Server<'_> {
        let args = ["serve", "--bind", "127.0.0.1:0", "--log", "error"];
        let args: Vec<&str> = args.iter().chain(options).copied().collect();
        let mut command = self.command(&args, &[]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line
            .trim()
            .strip_prefix("neena is ready on ")
            .unwrap()
            .to_owned();
        Server {
            place: self,
            child,
            url,
        }
    }

    fn command(&self, args: &[&str], env: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_neena"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("NEENA_") {
                command.env_remove(name);
            }
        }
        command
            .args(args)
            .envs(env.iter().copied())
            .current_dir(self.path());
        command
    }
}

/// A server of a test's own; killed when it is dropped.
#[derive(Debug)]
pub struct Server<'a> {
    place: &'a Place,
    child: Child,
    pub url: String,
}

impl Server<'_> {
    /// Runs a command against it, with the token it left in its data directory.
    pub fn neena(&self, args: &[&str]) -> Said {
        self.place.neena(args, &[("NEENA_URL", &self.url)])
    }

    /// Runs a command with `--json` and reads what it prints.
    pub fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let said = self.neena(&args);
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }

    /// Calls the API directly, for what no command does.
    pub fn call(&self, method: &str, path: &str, body: Option<Value>) {
        let token = std::fs::read_to_string(self.place.path().join("neena-data/token")).unwrap();
        let url = format!("{}/api/v1/{path}", self.url);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client
            .request(method.parse().unwrap(), url)
            .bearer_auth(token.trim());
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let answer = runtime.block_on(request.send()).unwrap();
        assert_eq!(answer.status(), 200, "{method} {path}");
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
