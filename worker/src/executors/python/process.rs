//! One host process: started, asked, watched, and put to an end together with all it started.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use neena_engine::run::Outcome;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::frame::{self, FrameError, MAX_BODY, Reply, Request};
use super::life::{Life, spawn, watch};
use super::output::Output;
use super::{HostError, Hosted, Settings};
use crate::executors::checked::checked;
use crate::executors::{Call, failed, timed_out};

/// The version of the frames; `PROTOCOL` in `host.py`.
const PROTOCOL: u32 = 1;

/// How long to look for what a process that is gone has left in its channel.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// A host that has loaded its integration. Dropping it kills its process group.
#[derive(Debug)]
pub(super) struct Process {
    stream: UnixStream,
    buffer: Vec<u8>,
    calls: u64,
    life: Arc<Life>,
    output: Arc<Output>,
    pub idle_since: Instant,
}

/// How a call ended, and what became of the process.
#[derive(Debug)]
pub(super) enum Ended {
    /// It can take the next call.
    Alive(Outcome),
    /// It is gone.
    Gone(Outcome),
    /// It was gone before it had read the call: another one may take it. The outcome if none does.
    NotSent(Outcome),
}

impl Process {
    /// Starts a process and has it load `hosted`. `tracker` counts it until it is gone; `ends` kills it.
    pub async fn start(
        settings: &Settings,
        hosted: &Hosted,
        tracker: &TaskTracker,
        ends: &CancellationToken,
    ) -> Result<Process, HostError> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let (pipe, printed) = std::io::pipe()?;
        let child = spawn(settings, theirs, printed)?;
        ours.set_nonblocking(true)?;
        let output = Arc::new(Output::new(pipe, hosted.short_name.as_str().into())?);
        let life = Life::new(ends);
        tracker.spawn(watch(child, life.clone(), output.clone()));
        let mut process = Process {
            stream: UnixStream::from_std(ours)?,
            buffer: Vec::new(),
            calls: 0,
            life,
            output,
            idle_since: Instant::now(),
        };
        match tokio::time::timeout(settings.start_limit, process.load(hosted)).await {
            Ok(Ok(())) => Ok(process),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(HostError::StartTimeout {
                limit: settings.start_limit,
                output: process.output.tail(),
            }),
        }
    }

    pub fn life(&self) -> &Arc<Life> {
        &self.life
    }

    pub fn is_over(&self) -> bool {
        self.life.is_over()
    }

    /// Has it load the integration and compares what it found with what was introspected.
    async fn load(&mut self, hosted: &Hosted) -> Result<(), HostError> {
        let path = hosted
            .path
            .to_str()
            .ok_or_else(|| HostError::Path(hosted.path.clone()))?;
        let load = Request::Load {
            path,
            short_name: &hosted.short_name,
            code_digest: &hosted.code_digest,
        };
        let sent = self
            .stream
            .write_all(&frame::encode(&load, "").map_err(protocol)?)
            .await;
        if sent.is_err() {
            return Err(self.crashed_at_start().await);
        }
        match self.reply().await? {
            Reply::Hello {
                protocol: PROTOCOL,
                python,
            } => {
                tracing::debug!(%python, integration = hosted.short_name, "host started");
            }
            other => {
                return Err(HostError::Protocol(format!(
                    "{other:?} instead of a greeting"
                )));
            }
        }
        match self.reply().await? {
            Reply::Loaded { code_digest, tasks }
                if code_digest == hosted.code_digest && tasks == hosted.tasks =>
            {
                Ok(())
            }
            Reply::Error(failure) => Err(HostError::Load {
                kind: failure.kind,
                message: failure.message,
            }),
            other => Err(HostError::Protocol(format!(
                "{other:?} instead of what was introspected"
            ))),
        }
    }

    async fn reply(&mut self) -> Result<Reply, HostError> {
        match frame::read(&mut self.stream, &mut self.buffer).await {
            Ok((reply, _)) => Ok(reply),
            Err(FrameError::Closed | FrameError::Io(_)) => Err(self.crashed_at_start().await),
            Err(error) => Err(protocol(error)),
        }
    }

    async fn crashed_at_start(&self) -> HostError {
        self.life.end().await;
        HostError::Crashed {
            how: self.life.how(),
            output: self.output.tail(),
        }
    }

    /// Sends a call and waits for its end: the answer, the limit, a stop, or the death of the process.
    pub async fn call(&mut self, call: &Call, stop: &CancellationToken) -> Ended {
        if self.is_over() {
            return Ended::NotSent(self.crashed());
        }
        self.output.begin(call.run, call.key, call.attempt);
        let mut sent = false;
        let life = self.life.clone();
        let mut over = tokio::select! {
            biased;
            reply = self.exchange(call, &mut sent) => Over::Reply(reply),
            () = stop.cancelled() => Over::Stopped,
            () = life.exited() => Over::Exited,
            limit = limit(call.timeout) => Over::Limit(limit),
        };
        if sent && matches!(over, Over::Exited) {
            over = self.last_words().await;
        }
        match over {
            Over::Reply(Ok((reply, body))) => self.answered(reply, body).await,
            Over::Reply(Err(FrameError::TooLarge(size))) => {
                self.life.end().await;
                Ended::Gone(too_large(size))
            }
            Over::Reply(Err(FrameError::Garbled(why))) => {
                self.life.end().await;
                Ended::Gone(failed(
                    "host_protocol",
                    format!("the host process sent {why}"),
                    false,
                ))
            }
            Over::Reply(Err(error @ (FrameError::Closed | FrameError::Io(_)))) => {
                self.life.end().await;
                // A socket that is closed before all was read from it is reset.
                let unread = matches!(&error, FrameError::Io(error) if error.kind() == ErrorKind::ConnectionReset);
                if sent && !unread {
                    Ended::Gone(self.crashed())
                } else {
                    Ended::NotSent(self.crashed())
                }
            }
            Over::Exited => {
                self.life.end().await;
                if sent {
                    Ended::Gone(self.crashed())
                } else {
                    Ended::NotSent(self.crashed())
                }
            }
            Over::Stopped => {
                self.life.end().await;
                Ended::Gone(Outcome::Stopped)
            }
            Over::Limit(limit) => {
                self.life.end().await;
                Ended::Gone(timed_out(limit))
            }
        }
    }

    async fn exchange(
        &mut self,
        call: &Call,
        sent: &mut bool,
    ) -> Result<(Reply, String), FrameError> {
        self.calls += 1;
        let request = Request::Call {
            call: self.calls,
            method: &call.method,
            run: call.run.to_string(),
            index: call.key.index,
            item: call.key.item,
            attempt: call.attempt,
        };
        self.stream
            .write_all(&frame::encode(&request, call.arguments.text())?)
            .await?;
        *sent = true;
        frame::read(&mut self.stream, &mut self.buffer).await
    }

    /// The process is gone: what it still said, or how its side of the channel was closed. It says
    /// nothing where a process outside of its group holds that side open.
    async fn last_words(&mut self) -> Over {
        let reading = frame::read(&mut self.stream, &mut self.buffer);
        match tokio::time::timeout(LAST_WORDS, reading).await {
            Ok(reply) => Over::Reply(reply),
            Err(_) => Over::Exited,
        }
    }

    async fn answered(&mut self, reply: Reply, body: String) -> Ended {
        let outcome = match reply {
            Reply::Ok { call } if call == self.calls && body.len() > MAX_BODY => {
                too_large(body.len())
            }
            Reply::Ok { call } if call == self.calls => match checked(body) {
                Ok(result) => Outcome::Completed(result),
                Err(error) => failed("result_not_json", format!("result: {error}"), false),
            },
            Reply::Error(failure) if failure.call == Some(self.calls) => {
                if let Some(traceback) = &failure.traceback {
                    self.output.add(traceback);
                }
                failed(&failure.kind, failure.message, failure.retryable)
            }
            _ => {
                self.life.end().await;
                let message = "the host process answered a call that was not made";
                return Ended::Gone(failed("host_protocol", message, false));
            }
        };
        self.output.end();
        self.idle_since = Instant::now();
        Ended::Alive(outcome)
    }

    fn crashed(&self) -> Outcome {
        let tail = self.output.tail();
        let mut message = format!("the host process {}", self.life.how());
        if !tail.is_empty() {
            message = format!("{message}; its last output:\n{}", last(&tail, 2 << 10));
        }
        failed("host_crashed", message, true)
    }

    /// Lets the process end by itself, for as long as `grace`; then kills it.
    pub async fn close(mut self, grace: Duration) {
        if self.stream.shutdown().await.is_ok() {
            let _ = tokio::time::timeout(grace, self.life.exited()).await;
        }
        self.life.end().await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.life.kill();
    }
}

/// What ended the wait for an answer.
enum Over {
    Reply(Result<(Reply, String), FrameError>),
    Stopped,
    Exited,
    Limit(Duration),
}

async fn limit(timeout: Option<Duration>) -> Duration {
    match timeout {
        Some(timeout) => {
            tokio::time::sleep(timeout).await;
            timeout
        }
        None => std::future::pending().await,
    }
}

fn too_large(size: usize) -> Outcome {
    let message = format!("the result has {size} bytes; at most {MAX_BODY} are allowed");
    failed("result_too_large", message, false)
}

fn protocol(error: FrameError) -> HostError {
    HostError::Protocol(error.to_string())
}

/// The end of a text, at most `size` bytes of it.
fn last(text: &str, size: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(size))..]
}
