//! The last vote that a run waits for, cast by two people at the same instant through two API processes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::harness::{Place, Server, lines};

/// Tries under way at a time.
const TOGETHER: usize = 4;

/// `NEENA_TEST_VOTES`, else few enough for every edit.
fn tries() -> usize {
    std::env::var("NEENA_TEST_VOTES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(50)
}

/// Keeps what the outbox held: its rows go once they are published.
const MESSAGES: &str = "CREATE TABLE messages (run_id uuid, kind text); \
     CREATE FUNCTION keep_message() RETURNS trigger LANGUAGE plpgsql AS \
       $$ BEGIN INSERT INTO messages VALUES (NEW.run_id, NEW.kind); RETURN NULL; END $$; \
     CREATE TRIGGER keep_message AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION keep_message()";

/// Two people at two API processes, and one who spoke before them.
struct Voters {
    first: Server,
    racing: [Arc<Server>; 2],
}

impl Voters {
    /// Both at once; the statuses and the answers.
    async fn race(&self, run: &str) -> [(u16, Value); 2] {
        let start = Arc::new(Barrier::new(2));
        let votes = self.racing.each_ref().map(|voter| {
            let (voter, start) = (Arc::clone(voter), Arc::clone(&start));
            let path = format!("/flow_runs/approve?flow_run_id={run}");
            tokio::spawn(async move {
                start.wait().await;
                voter.call(Method::PUT, &path, None).await.unwrap()
            })
        });
        let [one, two] = votes;
        [one.await.unwrap(), two.await.unwrap()]
    }
}

/// Of one run two approvals are asked, and one is there: one of the two who race is the last, the other one too late.
/// Of the next none is there: both count, and one of them is the last.
async fn once(number: usize, server: &Server, voters: &Voters, flow: &Value) -> String {
    let run = server.run(flow).await;
    let has_one = number.is_multiple_of(2);
    if has_one {
        let waits = voters.first.approve(&run).await;
        assert_eq!(waits["approval_status"], Value::Null, "{waits:#}");
    }
    let answers = voters.race(&run).await;
    let counted: Vec<&Value> = answers
        .iter()
        .filter(|(status, _)| *status == 200)
        .map(|(_, view)| view)
        .collect();
    let others = answers.iter().filter(|(status, _)| *status != 200);
    for (status, answer) in others {
        // It is quick: by then the run may be over.
        let late = ["was already approved", "has already completed"];
        let said = answer["detail"].as_str().unwrap_or_default();
        let late = late.iter().any(|why| said.ends_with(why));
        assert!(*status == 409 && late, "{number}: {status} {answer}");
    }
    assert_eq!(counted.len(), if has_one { 1 } else { 2 }, "{answers:?}");
    let log = server
        .get(&format!("/decisions/all?flow_run_id={run}"))
        .await;
    // Entries of the same moment come in the order in which they were asked for.
    let results: BTreeSet<&str> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["result"].as_str().unwrap())
        .collect();
    assert_eq!(log.as_array().unwrap().len(), 2, "{log:#}");
    let expected = BTreeSet::from(["approved", "1 of 2 in stage approval"]);
    assert_eq!(results, expected, "{number}");
    let ended = server.ended(&run, Duration::from_secs(60)).await;
    assert_eq!(ended["status"], "completed", "{ended:#}");
    run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs NEENA_TEST_STACK=cluster"]
async fn two_last_votes_through_two_api_processes_start_the_run_once() {
    let mut place = Place::cluster();
    // Nothing here is about a worker that is taken for dead.
    place.set("NEENA_LEASE_SECONDS", "60");
    let (here, there) = (place.api(), place.api());
    let _worker = place.worker("the only one");
    place.ground().execute(MESSAGES);
    let [bob, eve, tom] =
        ["bob", "eve", "tom"].map(|name| place.approver(&format!("{name}@example.com")));
    let voters = Voters {
        first: there.called_by(&tom),
        racing: [
            Arc::new(here.called_by(&bob)),
            Arc::new(there.called_by(&eve)),
        ],
    };
    let sink = place.path("sink.txt");
    let put = json!({ "file": sink.display().to_string() });
    let policy = json!({ "count": 2, "distinct_from_requester": true });
    let flow = here
        .flow_asking("races", policy, &[("put", put, &[])])
        .await;
    let runs = (0..tries()).map(|number| once(number, &here, &voters, &flow));
    let runs: BTreeSet<String> = futures_util::stream::iter(runs)
        .buffer_unordered(TOGETHER)
        .collect()
        .await;
    assert_eq!(runs.len(), tries());
    let ground = place.ground();
    let all = i64::try_from(runs.len()).unwrap();
    let messages = "SELECT count(*) FROM messages WHERE kind = 'flow_run.approved'";
    let distinct = "SELECT count(DISTINCT run_id) FROM messages WHERE kind = 'flow_run.approved'";
    let claims = "SELECT sum(epoch)::bigint FROM flow_runs";
    let starts = "SELECT count(*) FROM task_runs WHERE status = 'completed' AND attempt = 1";
    for sql in [messages, distinct, claims, starts] {
        assert_eq!(ground.count(sql).await, all, "{sql}");
    }
    let effects = lines(&sink);
    let once: BTreeSet<&String> = effects.iter().collect();
    assert_eq!((effects.len(), once.len()), (runs.len(), runs.len()));
    println!(
        "{all} tries: {} messages, {} effects",
        ground.count(messages).await,
        effects.len()
    );
}
