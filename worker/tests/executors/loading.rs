//! Finding and hosting integrations.

use std::path::{Path, PathBuf};

use neena_worker::executors::Executor;
use neena_worker::executors::python::{
    HostError, Interpreter, InterpreterError, IntrospectError, PythonHosts, introspect,
};
use serde_json::json;

use super::harness::{SDK, hosting, settings, write};

const NOTHING: &str = "@task(name='Do nothing')\ndef nothing(self): pass";

#[tokio::test]
async fn a_manifest_holds_what_sync_sends_and_prints_cannot_corrupt_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(
        folder.path(),
        "probe.py",
        "
print('{\"integrations\": []}')
os.write(1, b'noise')
ctypes.CDLL(None).puts(b'noise')

@task(pure=True)
def read_commits(self, path: str, limit: int = 10) -> list[str]:
    '''Reads commits.

    Args:
        path: Where.
    '''
",
    );
    let python = Interpreter::find().await.unwrap();
    let manifest = introspect(&python, Path::new(SDK), std::slice::from_ref(&path))
        .await
        .unwrap();
    let entry = &manifest["integrations"][0];
    assert_eq!(entry["short_name"], "probe");
    assert_eq!(entry["path"], json!(path));
    let task = &entry["tasks"][0];
    assert_eq!(task["task_name"], "Read commits");
    assert_eq!(task["python_method_name"], "read_commits");
    assert_eq!(
        task["parameters"],
        json!([
            {"name": "path", "data_type": "string", "position": 1, "doc_string": "Where.", "optional": false},
            {"name": "limit", "data_type": "integer", "position": 2, "doc_string": null, "optional": true},
        ])
    );
}

#[tokio::test]
async fn every_fault_is_reported_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("bad_syntax.py"),
        "import neena\n\ndef x(:\n",
    )
    .unwrap();
    std::fs::write(
        folder.path().join("bad_import.py"),
        "import neena\nimport no_such_thing\n",
    )
    .unwrap();
    write(folder.path(), "dies.py", "os._exit(5)");
    let python = Interpreter::find().await.unwrap();
    let error = introspect(&python, Path::new(SDK), &[folder.path().to_owned()]).await;
    let Err(IntrospectError::Faults(faults)) = error else {
        panic!("{error:?}")
    };
    let told: Vec<(String, Option<u32>, &str)> = faults
        .iter()
        .map(|fault| {
            let name = fault.path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fault.line, fault.kind.as_str())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("bad_import.py".into(), Some(2), "import"),
            ("bad_syntax.py".into(), Some(3), "syntax"),
            ("dies.py".into(), None, "import"),
        ]
    );
    assert!(faults[2].message.contains("exit code 5"), "{}", faults[2]);
}

#[tokio::test]
async fn code_that_changed_after_it_was_introspected_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "probe.py", NOTHING);
    let hosts = PythonHosts::new(settings().await).unwrap();
    let (found, _) = hosts.find(&path).await.unwrap();
    write(
        folder.path(),
        "probe.py",
        "@task(name='Do nothing')\ndef nothing(self): os.abort()",
    );
    let error = hosts.register(&found[0]).await;
    assert!(
        matches!(&error, Err(HostError::Load { kind, .. }) if kind == "code_changed"),
        "{error:?}"
    );
    assert!(!hosts.hosts("probe", &found[0].code_digest));
}

#[tokio::test]
async fn names_that_the_introspection_did_not_find_are_not_hosted() {
    let probe = hosting(NOTHING).await;
    let mut forged = probe.hosted.clone();
    forged.tasks.push("system".into());
    forged.short_name = "probe".into();
    let hosts = PythonHosts::new(settings().await).unwrap();
    let error = hosts.register(&forged).await;
    assert!(matches!(error, Err(HostError::Protocol(_))), "{error:?}");
}

#[tokio::test]
async fn a_constructor_that_fails_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let body = format!("def __init__(self):\n    raise ValueError('no database')\n{NOTHING}");
    let path = write(folder.path(), "probe.py", &body);
    let hosts = PythonHosts::new(settings().await).unwrap();
    let error = hosts.host(&path).await.unwrap_err();
    assert_eq!(error.to_string(), "ValueError: no database");
}

#[tokio::test]
async fn an_integration_that_never_finishes_loading_runs_into_the_start_limit() {
    let folder = tempfile::tempdir().unwrap();
    let body =
        format!("def __init__(self):\n    print('waiting')\n    time.sleep(1000)\n{NOTHING}");
    let path = write(folder.path(), "probe.py", &body);
    let mut settings = settings().await;
    settings.start_limit = std::time::Duration::from_millis(700);
    let hosts = PythonHosts::new(settings).unwrap();
    let error = hosts.host(&path).await.unwrap_err();
    assert!(matches!(error, HostError::StartTimeout { .. }), "{error:?}");
}

#[tokio::test]
async fn an_interpreter_that_will_not_do_is_named() {
    let error = Interpreter::check(Path::new("/no/such/python"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, InterpreterError::Unusable { program, .. } if program == &PathBuf::from("/no/such/python"))
    );
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("python3");
    std::fs::write(&old, "#!/bin/sh\necho 3 9 /usr/bin/python3.9\n").unwrap();
    std::fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let error = Interpreter::check(&old).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is Python 3.9, but integrations need 3.10 or newer"),
        "{error}"
    );
}
