//! Where in a text a JSON error stands, counted as FastAPI's clients expect it.

use serde_json::Error;

/// The offset in bytes of the first byte of `text` that cannot be; its length if something is missing.
pub(crate) fn of(text: &[u8], error: &Error) -> usize {
    if error.is_eof() {
        text.len()
    } else {
        at(text, error.line(), error.column())
    }
}

/// The offset of `line` and `column`, both counted from 1.
fn at(text: &[u8], line: usize, column: usize) -> usize {
    let before: usize = text
        .split_inclusive(|byte| *byte == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    (before + column.saturating_sub(1)).min(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_on_a_later_line_is_counted_from_the_start() {
        let text = b"{\n  \"a\": 1,\n  b\n}";
        let error = serde_json::from_slice::<serde_json::Value>(text).expect_err("not JSON");
        assert_eq!(text.get(of(text, &error)), Some(&b'b'));
    }

    #[test]
    fn what_is_missing_is_missing_at_the_end() {
        let error = serde_json::from_str::<serde_json::Value>("{\n").expect_err("not JSON");
        assert_eq!(of(b"{\n", &error), 2);
    }

    #[test]
    fn an_error_past_the_end_stays_within_the_text() {
        assert_eq!(at(b"{", 1, 9), 1);
        assert_eq!(at(b"", 0, 0), 0);
    }
}
