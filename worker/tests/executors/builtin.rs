//! Built-in tasks.

use std::time::Duration;

use futures_util::FutureExt;
use neena_engine::Json;
use neena_engine::flow::{Kind, built_ins};
use neena_engine::ids::RunId;
use neena_engine::run::{Outcome, TaskKey};
use neena_worker::executors::{Call, Executors};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::harness::error;

fn asked(method: &str, arguments: &str) -> Call {
    Call {
        run: RunId(Uuid::from_u128(1)),
        epoch: 1,
        key: TaskKey {
            index: 0,
            item: None,
        },
        attempt: 1,
        integration: "core".into(),
        method: method.into(),
        code_digest: format!("{method}@1"),
        arguments: Json::parse(arguments.into()).unwrap(),
        timeout: None,
    }
}

/// The outcome at the first poll.
fn at_once(call: Call) -> Outcome {
    Executors::new()
        .run(Kind::BuiltIn, call, CancellationToken::new())
        .now_or_never()
        .unwrap()
}

fn completed(outcome: Outcome) -> String {
    match outcome {
        Outcome::Completed(result) => result.text().to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn echo_gives_its_arguments_back_at_the_first_poll() {
    let text = r#"{"b":[1.0,null],"a":"é"}"#;
    assert_eq!(completed(at_once(asked("core.echo", text))), text);
}

#[test]
fn evaluate_gives_back_what_binding_made_of_the_expression() {
    let call = asked("core.evaluate", r#"{"expression": {"a": [1, 2.50]}}"#);
    assert_eq!(completed(at_once(call)), r#"{"a": [1, 2.50]}"#);
    assert_eq!(
        error(at_once(asked("core.evaluate", "{}"))).kind,
        "invalid_arguments"
    );
}

#[test]
fn fail_fails_so_often_and_then_succeeds_with_null() {
    let call = asked("core.fail", r#"{"message": "no", "times": 2}"#);
    for attempt in [1, 2] {
        let failure = error(at_once(Call {
            attempt,
            ..call.clone()
        }));
        assert_eq!((failure.message.as_str(), failure.retryable), ("no", true));
    }
    assert_eq!(completed(at_once(Call { attempt: 3, ..call })), "null");
    assert!(matches!(
        at_once(Call {
            attempt: 1000,
            ..asked("core.fail", "{}")
        }),
        Outcome::Failed(_)
    ));
}

#[tokio::test]
async fn sleep_ends_by_itself_by_a_stop_or_by_its_limit() {
    let executors = Executors::new();
    let run = |call, stop| executors.run(Kind::BuiltIn, call, stop);
    let stop = CancellationToken::new();

    let short = asked("core.sleep", r#"{"seconds": 0.001}"#);
    assert_eq!(completed(run(short, stop.clone()).await), "null");

    let endless = asked("core.sleep", r#"{"seconds": 1e15}"#);
    let limited = Call {
        timeout: Some(Duration::from_millis(1)),
        ..endless.clone()
    };
    let failure = error(run(limited, stop.clone()).await);
    assert_eq!(
        (failure.kind.as_str(), failure.retryable),
        ("timeout", true)
    );

    let sleeping = run(endless, stop.clone());
    let (outcome, ()) = tokio::join!(sleeping, async { stop.cancel() });
    assert_eq!(outcome, Outcome::Stopped);
}

#[test]
fn no_time_to_sleep_is_an_error() {
    for arguments in [
        r#"{"seconds":-1}"#,
        r#"{"seconds":1e300}"#,
        r#"{"seconds":"1"}"#,
        "{}",
        "[]",
        "7",
    ] {
        assert_eq!(
            error(at_once(asked("core.sleep", arguments))).kind,
            "invalid_arguments",
            "{arguments}"
        );
    }
}

#[test]
fn only_this_version_of_a_known_method_runs() {
    let executors = Executors::new();
    for found in built_ins() {
        assert!(executors.hosts(Kind::BuiltIn, "core", &found.definition.code_digest));
    }
    for digest in ["core.echo@2", "core.echo", "core.eval@1", "", "os.system@1"] {
        assert!(!executors.hosts(Kind::BuiltIn, "core", digest), "{digest}");
        let call = Call {
            code_digest: digest.into(),
            ..asked("core.echo", "{}")
        };
        assert_eq!(error(at_once(call)).kind, "not_hosted", "{digest}");
    }
    assert!(!executors.hosts(Kind::Python, "core", "core.echo@1"));
    assert!(!executors.hosts(Kind::BuiltIn, "other", "core.echo@1"));
}
