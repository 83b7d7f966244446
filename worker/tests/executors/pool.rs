//! The pool: warm, growing on demand, shrinking, mending itself.

use std::time::Duration;

use futures_util::future::join_all;
use neena_worker::executors::Executor;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::harness::{Fixture, PID, deserted, hosting, hosting_with, write};

const MEET: &str = "
@task(name='Meet and wait')
def wait(self, path: str):
    self.connection = meet(path)
    return [os.getpid(), len(self.connection.recv(1))]

@task(name='Meet and go')
def visit(self, path: str):
    self.connection = meet(path)
    return os.getpid()
";

/// Runs so many calls that all wait for each other: that many processes, and their connections.
async fn together(probe: &Fixture, count: usize) -> Vec<UnixStream> {
    let (listener, path) = probe.meeting();
    let calls = join_all((0..count).map(|_| probe.value("wait", json!({"path": path}))));
    let (pids, met) = tokio::join!(calls, async {
        let mut met = Vec::new();
        while met.len() < count {
            met.push(listener.accept().await.unwrap().0);
        }
        for stream in &mut met {
            stream.write_all(b"x").await.unwrap();
        }
        met
    });
    let mut pids: Vec<u64> = pids
        .iter()
        .map(|pair: &Value| pair[0].as_u64().unwrap())
        .collect();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), count, "each call had a process of its own");
    met
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_grows_to_the_slots_on_demand_and_shrinks_to_one() {
    let probe = hosting_with(&format!("{MEET}{PID}"), |settings| settings.slots = 3).await;
    assert_eq!(probe.size(), 1, "one is warm before the first call");
    together(&probe, 3).await;
    assert_eq!(probe.size(), 3);
    let more = join_all((0..20).map(|_| probe.pid())).await;
    assert_eq!(more.len(), 20);
    assert_eq!(probe.size(), 3, "never more than the slots");

    probe.hosts.shrink(Duration::from_secs(3600)).await;
    assert_eq!(probe.size(), 3, "none was idle for an hour");
    let warmest = probe.pid().await;
    probe.hosts.shrink(Duration::ZERO).await;
    assert_eq!(probe.pid().await, warmest, "the one used last is kept");
}

#[tokio::test]
async fn calls_one_after_the_other_share_one_process() {
    let probe = hosting(PID).await;
    let first = probe.pid().await;
    for _ in 0..50 {
        assert_eq!(probe.pid().await, first);
    }
    assert_eq!(probe.size(), 1);
}

#[tokio::test]
async fn an_idle_host_that_died_is_replaced_without_failing_a_call() {
    let probe = hosting(&format!("{MEET}{PID}")).await;
    for _ in 0..5 {
        let (listener, path) = probe.meeting();
        let pid = probe
            .value("visit", json!({"path": path}))
            .await
            .as_u64()
            .unwrap();
        let (connection, _) = listener.accept().await.unwrap();
        let killed = std::process::Command::new("kill")
            .args(["-9", &pid.to_string()])
            .status();
        assert!(killed.unwrap().success());
        deserted(connection).await;
        assert_ne!(probe.pid().await, pid);
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_takes_its_process_with_it() {
    let probe = hosting(MEET).await;
    let (listener, path) = probe.meeting();
    let met = {
        let call = std::pin::pin!(probe.call("wait", json!({"path": path})));
        match futures_util::future::select(call, std::pin::pin!(listener.accept())).await {
            futures_util::future::Either::Left((outcome, _)) => panic!("{outcome:?}"),
            futures_util::future::Either::Right((met, _)) => met.unwrap().0,
        }
    };
    deserted(met).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_shutdown_no_process_is_left_and_calls_are_refused() {
    let probe = hosting_with(MEET, |settings| settings.slots = 2).await;
    let met = together(&probe, 2).await;
    probe.hosts.shutdown().await;
    assert_eq!(probe.size(), 0);
    join_all(met.into_iter().map(deserted)).await;
    let refused = probe.error("visit", json!({"path": "nowhere"})).await;
    assert_eq!(
        (refused.kind.as_str(), refused.retryable),
        ("host_unavailable", true)
    );
}

#[tokio::test]
async fn a_shutdown_stops_what_still_runs() {
    let probe = hosting(MEET).await;
    let (listener, path) = probe.meeting();
    let call = probe.error("wait", json!({"path": path}));
    let (failure, met) = tokio::join!(call, async {
        let (met, _) = listener.accept().await.unwrap();
        probe.hosts.shutdown().await;
        met
    });
    assert_eq!(failure.kind, "host_crashed");
    deserted(met).await;
}

#[tokio::test]
async fn older_code_stays_hosted_until_its_processes_are_let_go() {
    let probe = hosting("@task(name='Tell version')\ndef tell(self): return 1").await;
    let path = write(
        probe.folder.path(),
        "probe.py",
        "@task(name='Tell version')\ndef tell(self): return 2",
    );
    let newer = probe.hosts.host(&path).await.unwrap().remove(0);
    assert_ne!(newer.code_digest, probe.hosted.code_digest);
    assert_eq!(
        probe.value("tell", json!({})).await,
        json!(1),
        "the plan's code runs, not the newest"
    );

    probe.hosts.shrink(Duration::ZERO).await;
    assert!(!probe.hosts.hosts("probe", &probe.hosted.code_digest));
    assert!(probe.hosts.hosts("probe", &newer.code_digest));
}
