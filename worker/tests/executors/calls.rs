//! Calls that end as they should: arguments in, results out, errors as values.

use neena_engine::run::{Outcome, TaskKey};
use neena_worker::executors::python::Interpreter;
use neena_worker::executors::{Call, Executor};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::harness::{error, hosting, hosting_with, settings, value};

#[tokio::test]
async fn arguments_are_converted_and_results_are_json() {
    let probe = hosting(
        "
@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.5

@task(name='Move a point', pure=True)
def move(self, point: Point, by: int = 1) -> Point:
    assert type(point).__name__ == 'Point' and type(point.x) is float
    return type(point)(point.x + by, point.y)

@task(name='Give back')
def give(self, value):
    return value
",
    )
    .await;
    let moved = probe
        .value("move", json!({"point": {"x": 1}, "by": 2}))
        .await;
    assert_eq!(moved, json!({"x": 3.0, "y": 0.5}));
    let odd = json!({"text": "é\u{0}\u{1F600} \u{2028}\n", "numbers": [0, -1, 1.5, u64::MAX, i64::MIN, 1e300], "none": null, "": {}});
    assert_eq!(probe.value("give", json!({"value": odd})).await, odd);

    for (arguments, message) in [
        (json!({}), "point: missing"),
        (json!({"point": {}}), "point.x: missing"),
        (
            json!({"point": {"x": "1"}}),
            "point.x: expected a number, got a string",
        ),
        (
            json!({"point": {"x": 1, "z": 1}}),
            "point.z: Point has no such field",
        ),
        (
            json!({"point": {"x": 1}, "by": 1.5}),
            "by: expected an integer, got a number",
        ),
        (
            json!({"point": {"x": 1}, "by": true}),
            "by: expected an integer, got a boolean",
        ),
        (
            json!({"point": {"x": 1}, "much": 1}),
            "much: there is no such parameter",
        ),
        (json!([]), "arguments: expected an object"),
    ] {
        let failure = probe.error("move", arguments).await;
        assert_eq!(
            (failure.kind.as_str(), failure.message.as_str()),
            ("invalid_arguments", message)
        );
        assert!(!failure.retryable);
    }
}

#[tokio::test]
async fn what_json_cannot_hold_is_an_error_that_names_its_place() {
    let probe = hosting(
        "
@task(name='Evaluate')
def run(self, code: str):
    return eval(code)
",
    )
    .await;
    let pid = probe.value("run", json!({"code": "os.getpid()"})).await;
    for (code, message) in [
        (
            "{'items': [1, {'price': math.nan}]}",
            "result.items[1].price: nan has no form in JSON",
        ),
        ("[math.inf]", "result[0]: inf has no form in JSON"),
        ("{'a': [object]}", "result.a[0]: a type has no form in JSON"),
        ("{'a': b'bytes'}", "result.a: a bytes has no form in JSON"),
        ("{(1, 2): 3}", "result: the key (1, 2) is not a string"),
        ("['\\ud800']", "result[0]: the text holds a lone surrogate"),
        ("[10 ** 5000]", "result[0]: the integer is too large"),
        (
            "[globals().setdefault('loop', []), loop.append(loop)][0]",
            "the result is nested deeper than 100 levels (or holds itself)",
        ),
    ] {
        let failure = probe.error("run", json!({"code": code})).await;
        assert_eq!(
            (failure.kind.as_str(), failure.message.as_str()),
            ("result_not_json", message),
            "{code}"
        );
    }
    assert_eq!(
        probe.value("run", json!({"code": "os.getpid()"})).await,
        pid,
        "the host lives"
    );
}

#[tokio::test]
async fn exceptions_are_retryable_and_fatal_ones_are_not() {
    let probe = hosting(
        "
@task(name='Raise something')
def rise(self, kind: str):
    if kind == 'exit':
        sys.exit(3)
    if kind == 'silent':
        class Silent(Exception):
            def __str__(self):
                raise ValueError
        raise Silent
    if kind == 'long':
        raise ValueError('x' * 1_000_000)
    if kind == 'surrogate':
        raise ValueError('no \\udcff \\0 text')
    if kind == 'deep':
        return self.rise(kind)
    raise {'fatal': Fatal, 'value': ValueError, 'base': KeyboardInterrupt}[kind]('as asked')
",
    )
    .await;
    for (kind, word, message, retryable) in [
        ("fatal", "fatal", "as asked", false),
        ("value", "exception", "ValueError: as asked", true),
        ("base", "exception", "KeyboardInterrupt: as asked", true),
        ("exit", "exception", "SystemExit: 3", true),
        ("surrogate", "exception", "ValueError: no ? \0 text", true),
        (
            "silent",
            "exception",
            "Silent: (its message cannot be printed)",
            true,
        ),
        (
            "deep",
            "exception",
            "RecursionError: maximum recursion depth exceeded",
            true,
        ),
    ] {
        let failure = probe.error("rise", json!({"kind": kind})).await;
        assert_eq!(
            (failure.kind.as_str(), failure.retryable),
            (word, retryable),
            "{kind}"
        );
        assert!(
            failure.message.starts_with(message),
            "{kind}: {}",
            failure.message
        );
    }
    let long = probe.error("rise", json!({"kind": "long"})).await;
    assert!(long.message.len() < 5_000 && long.message.ends_with('…'));
    assert_eq!(probe.size(), 1);
}

#[tokio::test]
async fn async_methods_share_one_loop_that_stays() {
    let probe = hosting(
        "
@task(name='Count calls')
async def count(self):
    loop = asyncio.get_running_loop()
    self.loops = getattr(self, 'loops', []) + [loop]
    both = await asyncio.gather(asyncio.sleep(0, 'a'), asyncio.sleep(0, 'b'))
    return [len(self.loops), all(known is loop for known in self.loops), both]
",
    )
    .await;
    for number in 1..=3 {
        assert_eq!(
            probe.value("count", json!({})).await,
            json!([number, true, ["a", "b"]])
        );
    }
}

#[tokio::test]
async fn a_task_knows_its_run_and_its_key() {
    let probe = hosting(
        "
@task(name='Tell context')
def tell(self):
    now = context()
    return [now.run_id, now.index, now.item, now.attempt, now.idempotency_key]
",
    )
    .await;
    let run = "00000000-0000-0000-0000-000000000007";
    let told = probe.value("tell", json!({})).await;
    assert_eq!(told, json!([run, 3, null, 1, format!("{run}:3")]));
    let asked = probe.asked("tell", &json!({}));
    let item = Call {
        key: TaskKey {
            index: 3,
            item: Some(9),
        },
        attempt: 2,
        ..asked
    };
    assert_eq!(
        value(probe.run(item).await),
        json!([run, 3, 9, 2, format!("{run}:3:9")])
    );
}

#[tokio::test]
async fn only_registered_names_can_be_called() {
    let probe = hosting(
        "
@task(name='A good one')
def good(self):
    return 'good'

def plain(self):
    return 'undecorated'

class Inner:
    def run(self): return 'inner'
",
    )
    .await;
    assert_eq!(probe.value("good", json!({})).await, json!("good"));
    for name in [
        "os.system",
        "__init__",
        "__reduce__",
        "__class__",
        "a.b",
        "good.__call__",
        "plain",
        "Inner",
        "g\u{43e}\u{43e}d",
        "\u{ff47}ood",
        "good ",
        "good\0",
        "GOOD",
        "",
        "*",
    ] {
        assert_eq!(
            probe.error(name, json!({})).await.kind,
            "unknown_method",
            "{name:?}"
        );
    }
    let asked = probe.asked("good", &json!({}));
    for (integration, code_digest) in [
        ("other", probe.hosted.code_digest.as_str()),
        ("probe", &"0".repeat(64)),
    ] {
        let call = Call {
            integration: integration.into(),
            code_digest: code_digest.into(),
            ..asked.clone()
        };
        let failure = error(probe.run(call).await);
        assert_eq!(
            (failure.kind.as_str(), failure.retryable),
            ("not_hosted", true)
        );
        assert!(!probe.hosts.hosts(integration, code_digest));
    }
}

#[tokio::test]
async fn a_task_sees_only_what_it_is_meant_to_see_of_the_environment() {
    let probe = hosting_with(
        "
@task(name='Environment names')
def names(self):
    return sorted(os.environ)

@task(name='Working directory')
def directory(self):
    return os.getcwd()
",
        |settings| settings.environment.push(("ALLOWED".into(), "yes".into())),
    )
    .await;
    let names = probe.value("names", json!({})).await;
    // LC_CTYPE is Python's own doing where no locale is set.
    let known = [
        "ALLOWED",
        "HOME",
        "LANG",
        "LC_CTYPE",
        "PATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONPATH",
        "PYTHONUNBUFFERED",
    ];
    for name in names.as_array().unwrap() {
        assert!(known.contains(&name.as_str().unwrap()), "{name}");
    }
    assert!(names.as_array().unwrap().contains(&json!("ALLOWED")));
    let directory = probe.value("directory", json!({})).await;
    assert_eq!(directory, json!(std::env::current_dir().unwrap()));
}

#[tokio::test]
async fn arguments_larger_than_the_limit_never_reach_the_host() {
    let probe =
        hosting("@task(name='Length of it')\ndef length(self, text: str): return len(text)").await;
    let fits = probe
        .value("length", json!({"text": "x".repeat((1 << 20) - 20)}))
        .await;
    assert_eq!(fits, json!((1 << 20) - 20));
    let failure = probe
        .error("length", json!({"text": "x".repeat(1 << 20)}))
        .await;
    assert_eq!(
        (failure.kind.as_str(), failure.retryable),
        ("arguments_too_large", false)
    );
}

#[tokio::test]
async fn a_call_that_is_stopped_before_it_starts_does_not_start() {
    let probe = hosting("@task(name='Do nothing')\ndef nothing(self): pass").await;
    let stop = CancellationToken::new();
    stop.cancel();
    let outcome = probe
        .hosts
        .run(probe.asked("nothing", &json!({})), stop)
        .await;
    assert_eq!(outcome, Outcome::Stopped);
}

#[tokio::test]
async fn pydantic_models_go_in_and_out() {
    let interpreter = settings().await.interpreter;
    if !has_pydantic(&interpreter).await {
        eprintln!("SKIPPED: {} has no pydantic", interpreter.program.display());
        return;
    }
    let probe = hosting(
        "
import pydantic

class Order(pydantic.BaseModel):
    number: int
    at: datetime.datetime
    note: str | None = None

@task(name='Next order')
def following(self, order: Order) -> Order:
    return order.model_copy(update={'number': order.number + 1})
",
    )
    .await;
    let order = json!({"number": 1, "at": "2026-01-02T03:04:05Z", "note": null});
    let next = probe.value("following", json!({"order": order})).await;
    assert_eq!(
        next,
        json!({"number": 2, "at": "2026-01-02T03:04:05Z", "note": null})
    );
    let failure = probe
        .error(
            "following",
            json!({"order": {"number": "x", "at": "2026-01-02"}}),
        )
        .await;
    assert_eq!(failure.kind, "invalid_arguments");
    assert!(
        failure.message.starts_with("order.number: "),
        "{}",
        failure.message
    );
}

async fn has_pydantic(interpreter: &Interpreter) -> bool {
    let mut command = tokio::process::Command::new(&interpreter.program);
    command
        .args(["-c", "import pydantic"])
        .stderr(std::process::Stdio::null());
    command.status().await.unwrap().success()
}
