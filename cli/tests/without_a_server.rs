//! What a command says when nobody answers.

use std::net::TcpListener;

use crate::harness::Place;

#[test]
fn a_server_that_is_not_there_is_told_in_one_line() {
    // A port that was free a moment ago and that nobody listens on.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}");
    let place = Place::new();
    for args in [
        &["runs"][..],
        &["flow", "list"],
        &["run", "x", "-i", "do something"],
    ] {
        let said = place.neena(args, &[("NEENA_URL", &url)]);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{args:?}");
        assert!(
            said.err
                .starts_with(&format!("error: no answer from {url}/: ")),
            "{}",
            said.err
        );
        assert_eq!(said.err.lines().count(), 1, "{}", said.err);
    }
}

#[test]
fn a_url_that_is_none_is_told() {
    let said = Place::new().neena(&["runs", "--url", "ftp://example.org"], &[]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("the server's URL"), "{}", said.err);
}

#[test]
fn completions_are_printed_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let said = Place::new().neena(&["completions", shell], &[]);
        assert_eq!(said.code, 0);
        assert!(
            said.out.contains("neena") && said.out.contains("approve"),
            "{shell}"
        );
    }
}
