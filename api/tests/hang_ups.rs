//! Clients that hang up: what they asked for is done whole or not at all.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use neena_store::Connections;
use serde_json::{Value, json};

use crate::harness::{Api, Setup, clustered, literal};

/// Lets a call take so many steps, then drops it, as a hang-up does.
async fn cut(call: impl Future, steps: usize) {
    let mut call = pin!(call);
    for _ in 0..steps {
        if call
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
        {
            return;
        }
        tokio::task::yield_now().await;
    }
    // One more time with a real waker, so that what was woken meanwhile is seen.
    std::future::poll_fn(|context| {
        let _ = call.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

/// Lets a call go on for a while, then drops it. What it was answered, if it was.
async fn hang_up<T>(call: impl Future<Output = T>, after: Duration) -> Option<T> {
    tokio::time::timeout(after, call).await.ok()
}

/// A small generator: hang-ups at random moments, the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// Waits until no request is worked on and no session is left in a transaction.
async fn quiet(api: &Api) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let before = api.rows().await;
        api.flow_request().await;
        let open = if clustered() {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND state LIKE 'idle in transaction%'";
            api.count(sql).await
        } else {
            0
        };
        let mut after = api.rows().await;
        for (table, count) in &mut after {
            *count -= i64::from(*table == "flow_requests");
        }
        if open == 0 && before == after {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{open} sessions in a transaction"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// So many calls that make approved runs, eight at a time over four connections, each dropped at a random
/// moment: whatever was answered is there, and what is there is whole.
async fn cut_at_random(calls: u64) {
    let api = Api::start_with(Setup {
        pool: Connections {
            units: 2,
            reads: 1,
            lazy: 1,
            ..Connections::default()
        },
        ..Setup::default()
    })
    .await;
    let (flow, request) = (api.flow().await, api.flow_request().await);
    let body = json!({"flow": flow, "flow_request": request, "approval_status": "approved"});
    let start = Instant::now();
    api.post("/api/v1/flow_runs/", body.clone())
        .await
        .expect(200);
    // So that about half of the calls are answered, however fast this machine is.
    let longest = u64::try_from(start.elapsed().as_micros()).unwrap() * 8;
    let client = async |seed: u64| {
        let mut dice = Dice(seed);
        let mut answered = Vec::new();
        for _ in 0..calls / 8 {
            let after = Duration::from_micros(dice.below(longest));
            match hang_up(api.post("/api/v1/flow_runs/", body.clone()), after).await {
                Some(answer) if answer.status == 503 => {}
                Some(answer) => answered.push(answer.expect(200).id()),
                None => {}
            }
        }
        answered
    };
    let clients = (1..=8).map(|seed| client(seed * 7_919));
    let answered = futures_util::future::join_all(clients).await.concat();
    quiet(&api).await;
    let runs = api.count("SELECT count(*) FROM flow_runs").await;
    println!("{} of {calls} answered, {runs} runs made", answered.len());
    assert!(!answered.is_empty(), "some got through");
    assert!(
        answered.len() < usize::try_from(calls).unwrap(),
        "some were cut"
    );
    for run in answered {
        let sql = format!(
            "SELECT count(*) FROM live_runs WHERE run_id = {}",
            literal(run)
        );
        assert_eq!(api.count(&sql).await, 1, "{run} was acknowledged");
    }
    for table in ["live_runs", "run_plans", "approvals", "outbox"] {
        let sql =
            format!("SELECT count(*) FROM {table} WHERE run_id IN (SELECT id FROM flow_runs)");
        assert_eq!(api.count(&sql).await, runs, "{table}");
        let all = format!("SELECT count(*) FROM {table}");
        assert_eq!(api.count(&all).await, runs, "{table}");
    }
}

#[tokio::test]
async fn a_run_whose_client_hung_up_at_any_moment_is_whole_or_not_there() {
    cut_at_random(400).await;
}

#[tokio::test]
#[ignore = "a minute and more"]
async fn ten_thousand_clients_that_hang_up_lose_nothing_that_was_answered() {
    cut_at_random(10_000).await;
}

#[tokio::test]
async fn a_key_whose_client_hung_up_still_takes_effect_once() {
    let api = Api::start().await;
    let token = api.token();
    let body = json!({"request_instructions": "Process this request."});
    let call = || {
        let body = Some(body.to_string());
        let mut request = crate::harness::request("POST", "/api/v1/flow_requests/", &token, body);
        request
            .headers_mut()
            .insert("idempotency-key", "k".parse().unwrap());
        api.send(request)
    };
    for steps in 0..40 {
        cut(call(), steps).await;
    }
    let answer = call().await.expect(200);
    assert_eq!(api.count("SELECT count(*) FROM flow_requests").await, 1);
    let listed = api.get("/api/v1/flow_requests/all").await.body;
    assert_eq!(listed, Value::Array(vec![answer.body]));
}

#[tokio::test]
async fn an_approval_whose_client_hung_up_is_one_event_or_none() {
    let api = Api::start().await;
    for steps in 0..30 {
        let run = api.run().await;
        let path = format!("/api/v1/flow_runs/approve?flow_run_id={run}");
        cut(api.call("PUT", &path, &api.token(), None), steps).await;
        api.flow_request().await;
        // In one statement: the decision may be committed while this reads.
        let torn = "SELECT count(*) FROM flow_runs f WHERE 1 < (SELECT count(DISTINCT n) FROM (
            SELECT CAST(f.approval_status IS NOT DISTINCT FROM 'approved' AS integer) AS n
            UNION ALL SELECT count(*) FROM approvals WHERE run_id = f.id
            UNION ALL SELECT count(*) FROM outbox WHERE run_id = f.id
            UNION ALL SELECT count(*) FROM live_runs WHERE run_id = f.id AND phase = 'ready') AS parts)";
        assert_eq!(api.count(torn).await, 0, "after {steps} steps");
    }
}
