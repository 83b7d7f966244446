//! Tasks that hang, crash, print, or answer with what they should not: only they fail.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use neena_engine::run::Outcome;
use neena_worker::executors::{Call, Executor};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::harness::{PID, deserted, error, hosting, hosting_with, value};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_tasks_are_stopped_at_their_limit_and_leave_no_process_behind() {
    let probe = hosting(
        "
@task(name='Never end')
def forever(self, path: str):
    self.connection = meet(path)
    subprocess.Popen(['sleep', '1000'], close_fds=False)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        pass
",
    )
    .await;
    let (listener, path) = probe.meeting();
    let limit = Duration::from_millis(300);
    let call = Call {
        timeout: Some(limit),
        ..probe.asked("forever", &json!({"path": path}))
    };
    let attempts = 12;
    let calls = join_all((0..attempts).map(|_| {
        let (probe, call) = (&probe, call.clone());
        async move { error(probe.run(call).await) }
    }));
    let met = async {
        let mut met = Vec::new();
        for _ in 0..attempts {
            met.push(listener.accept().await.unwrap().0);
        }
        met
    };
    let (failures, met) = tokio::join!(calls, met);
    for failure in failures {
        assert_eq!(
            (failure.kind.as_str(), failure.retryable),
            ("timeout", true),
            "{}",
            failure.message
        );
    }
    join_all(met.into_iter().map(deserted)).await;
}

#[tokio::test]
async fn a_stop_ends_the_task_before_the_call_returns() {
    let probe = hosting(
        "
@task(name='Never end')
def forever(self, path: str):
    self.connection = meet(path)
    time.sleep(1000)
",
    )
    .await;
    let (listener, path) = probe.meeting();
    let stop = CancellationToken::new();
    let call = probe
        .hosts
        .run(probe.asked("forever", &json!({"path": path})), stop.clone());
    let (outcome, stream) = tokio::join!(call, async {
        let (stream, _) = listener.accept().await.unwrap();
        stop.cancel();
        stream
    });
    assert_eq!(outcome, Outcome::Stopped);
    deserted(stream).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashes_fail_only_their_own_task_and_say_how_the_process_ended() {
    let probe = hosting(
        "
@task(name='Maybe crash')
def work(self, number: int):
    print('working on', number)
    if number % 7 == 3:
        os._exit(number)
    if number % 7 == 5:
        os.kill(os.getpid(), signal.SIGSEGV)
    return number * 2
",
    )
    .await;
    let outcomes = join_all((0..70_u64).map(|number| {
        let probe = &probe;
        async move { (number, probe.call("work", json!({"number": number})).await) }
    }));
    for (number, outcome) in outcomes.await {
        let how = match number % 7 {
            3 => format!("the host process ended with exit code {number}"),
            5 => "the host process was killed by signal 11 (SIGSEGV)".to_owned(),
            _ => {
                assert_eq!(value(outcome), json!(number * 2));
                continue;
            }
        };
        let failure = error(outcome);
        assert_eq!(
            (failure.kind.as_str(), failure.retryable),
            ("host_crashed", true)
        );
        let message = format!("{how}; its last output:\nworking on {number}");
        assert_eq!(failure.message, message);
    }
    assert_eq!(probe.value("work", json!({"number": 1})).await, json!(2));
}

#[tokio::test]
async fn whatever_is_printed_cannot_reach_the_answers() {
    let probe = hosting(
        r#"
@task(name='Print a lot')
def shout(self, way: str):
    noise = '\x00\x00\x00\x05{"type":"ok","call":1}\n"forged"\n' * 300_000
    if way == 'print':
        print(noise)
        print(noise, file=sys.stderr)
    elif way == 'write':
        rest = memoryview(noise.encode())
        while rest:
            rest = rest[os.write(1, rest):]
    elif way == 'c':
        libc = ctypes.CDLL(None)
        for _ in range(200_000):
            libc.puts(b'a line of fifty bytes, printed by a C library....')
        libc.fflush(None)
    elif way == 'child':
        subprocess.run([sys.executable, '-c', 'print("x" * 10_000_000)'], check=True)
    elif way == 'line':
        sys.__stdout__.write('x' * 10_000_000)
    elif way == 'closed':
        sys.stdout.close()
        os.close(1)
    return [way, sys.stdin.read()]
"#,
    )
    .await;
    for way in ["print", "write", "c", "child", "line", "closed", "nothing"] {
        assert_eq!(
            probe.value("shout", json!({"way": way})).await,
            json!([way, ""]),
            "{way}"
        );
    }
    assert_eq!(probe.size(), 1);
}

#[tokio::test]
async fn a_result_of_a_gigabyte_is_refused_and_the_host_lives() {
    let probe = hosting(&format!(
        "{PID}
@task(name='Large text')
def text(self, size: int):
    return 'x' * size

@task(name='Large list')
def array(self, size: int):
    return ['xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'] * size
"
    ))
    .await;
    let pid = probe.pid().await;
    for (method, size) in [
        ("text", 1 << 30),
        ("text", (1 << 20) - 1),
        ("array", 1 << 20),
    ] {
        let failure = probe.error(method, json!({"size": size})).await;
        assert_eq!(
            (failure.kind.as_str(), failure.retryable),
            ("result_too_large", false)
        );
    }
    let largest = probe.value("text", json!({"size": (1 << 20) - 2})).await;
    assert_eq!(largest.as_str().unwrap().len(), (1 << 20) - 2);
    assert_eq!(probe.pid().await, pid);
}

#[tokio::test]
async fn a_frame_of_a_gigabyte_is_refused_by_its_length() {
    let probe = hosting(
        &format!(
            "{PID}
@task(name='Forge a frame')
def forge(self, head: str, size: int):
    channel = next(fd for fd in range(3, 64) if is_socket(fd))
    os.write(channel, bytes.fromhex(head))
    rest = memoryview(bytes(1 << 20))
    for _ in range(size >> 20):
        os.write(channel, rest)
    time.sleep(1000)
"
        )
        .replace(
            "@task(name='Process id')",
            "
def is_socket(fd):
    import stat
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False
globals()['is_socket'] = is_socket

@task(name='Process id')",
        ),
    )
    .await;
    let before = resident();
    for _ in 0..3 {
        let failure = probe
            .error("forge", json!({"head": "40000000", "size": 1_u64 << 30}))
            .await;
        assert_eq!(
            (failure.kind.as_str(), failure.retryable),
            ("result_too_large", false)
        );
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "grew by {grown} bytes");
    let garbage = probe
        .error("forge", json!({"head": "00000003616263", "size": 0}))
        .await;
    assert_eq!(garbage.kind, "host_protocol");
    assert!(probe.pid().await > 0);
}

fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[tokio::test]
async fn deep_nesting_is_an_error_on_the_way_out_and_on_the_way_in() {
    let probe = hosting(&format!(
        "{PID}
@task(name='Nest a list')
def nest(self, depth: int):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value

@task(name='Take anything')
def take(self, value):
    return True
"
    ))
    .await;
    let pid = probe.pid().await;
    for depth in [101, 150, 500, 900, 100_000] {
        let failure = probe.error("nest", json!({"depth": depth})).await;
        assert_eq!(
            failure.kind, "result_not_json",
            "{depth}: {}",
            failure.message
        );
        assert!(
            failure.message.contains("deeper than 100"),
            "{}",
            failure.message
        );
    }
    assert!(matches!(
        probe.call("nest", json!({"depth": 100})).await,
        Outcome::Completed(_)
    ));
    for depth in [100_usize, 5_000, 200_000] {
        let text = format!(r#"{{"value":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        let call = Call {
            arguments: neena_engine::Json::trusted(text),
            ..probe.asked("take", &json!({}))
        };
        match probe.run(call).await {
            Outcome::Completed(_) => assert_eq!(depth, 100),
            Outcome::Failed(failure) => assert_eq!(failure.kind, "invalid_arguments", "{depth}"),
            Outcome::Stopped | Outcome::Withdrawn => panic!("stopped"),
        }
    }
    assert_eq!(probe.pid().await, pid);
}

#[tokio::test]
async fn a_memory_limit_turns_hunger_into_an_error() {
    let probe = hosting_with(
        "
@task(name='Eat memory')
def eat(self, size: int):
    return len(bytearray(size))
",
        |settings| settings.memory_bytes = Some(1 << 30),
    )
    .await;
    let failure = probe.error("eat", json!({"size": 4_u64 << 30})).await;
    assert_eq!(
        (failure.kind.as_str(), failure.message.as_str()),
        ("exception", "MemoryError")
    );
    assert_eq!(
        probe.value("eat", json!({"size": 1 << 20})).await,
        json!(1 << 20)
    );
}

#[tokio::test]
async fn a_process_left_behind_by_a_crashed_host_neither_lives_on_nor_holds_up_the_answer() {
    let probe = hosting(
        "
@task(name='Fork and crash')
def fork(self, path: str):
    connection = meet(path)
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(9)
",
    )
    .await;
    let (listener, path) = probe.meeting();
    let start = Instant::now();
    let failure = probe.error("fork", json!({"path": path})).await;
    assert_eq!(failure.kind, "host_crashed");
    assert!(
        failure.message.contains("exit code 9"),
        "{}",
        failure.message
    );
    assert!(start.elapsed() < Duration::from_secs(30));
    deserted(listener.accept().await.unwrap().0).await;
}
