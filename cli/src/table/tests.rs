use super::*;

#[test]
fn durations_are_told_in_the_unit_that_fits() {
    let took = |end| took(Some("2026-01-01T00:00:00.000000Z"), Some(end));
    assert_eq!(took("2026-01-01T00:00:00.000999Z"), "< 1 ms");
    assert_eq!(took("2026-01-01T00:00:00.041999Z"), "41 ms");
    assert_eq!(took("2026-01-01T00:00:02.560000Z"), "2.5 s");
    assert_eq!(took("2026-01-01T00:03:20.000000Z"), "3 min 20 s");
    assert_eq!(took("2026-01-01T05:07:00.000000Z"), "5 h 7 min");
    assert_eq!(took("nonsense"), "–");
}

#[test]
fn a_short_text_is_one_line_without_control_characters() {
    assert_eq!(short("one\ntwo\u{1b}[0m", 20), "one two [0m");
    assert_eq!(short("äöüäöü", 4), "äöü…");
}

#[test]
fn a_short_text_reads_in_the_order_it_is_stored() {
    assert_eq!(short("a\u{202e}b\u{2066}c\u{2029}d", 20), "a b c d");
}

#[test]
fn a_result_cannot_steer_the_terminal() {
    assert_eq!(harmless("a\tb\nc\u{1b}[2J\r"), "a\tb\nc\u{fffd}[2J\u{fffd}");
}
