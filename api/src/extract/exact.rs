//! Integers that would not arrive as they were sent.

use std::ops::Range;

/// The first integer of a valid JSON text that fits neither `i64` nor `u64`: it would silently become
/// another number. Fractions and exponents are approximations to begin with.
pub(super) fn first_unfit_integer(json: &[u8]) -> Option<Range<usize>> {
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => at = string_end(json, at),
            b'-' | b'0'..=b'9' => {
                let end = number_end(json, at);
                if unfit(&json[at..end]) {
                    return Some(at..end);
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    None
}

/// Where the string that opens at `start` has ended.
fn string_end(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}

fn number_end(json: &[u8], start: usize) -> usize {
    let of_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    let rest = json[start..].iter().take_while(|byte| of_number(byte));
    start + rest.count()
}

fn unfit(number: &[u8]) -> bool {
    // Eighteen digits always fit.
    if number.len() <= 18 || number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        return false;
    }
    let text = std::str::from_utf8(number).unwrap_or_default();
    text.parse::<i64>().is_err() && text.parse::<u64>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str) -> Option<&str> {
        first_unfit_integer(json.as_bytes()).map(|place| &json[place])
    }

    #[test]
    fn integers_of_64_bits_arrive_as_they_were_sent() {
        for fit in [
            "18446744073709551615",
            "-9223372036854775808",
            "[1, -2, 0]",
            "1.5e400",
            "123456789012345678901234567890.5",
            "{\"a\": \"99999999999999999999999\"}",
            "\"\\\"99999999999999999999999\"",
        ] {
            assert_eq!(found(fit), None, "{fit}");
        }
    }

    #[test]
    fn the_first_larger_one_is_found_where_it_stands() {
        assert_eq!(
            found("[1, 18446744073709551616]"),
            Some("18446744073709551616")
        );
        assert_eq!(
            found("{\"a\":-9223372036854775809}"),
            Some("-9223372036854775809")
        );
    }
}
