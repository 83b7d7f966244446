//! Strings that hold `{{ expressions }}`, split into text and expressions.

use super::lex::string_len;

/// The most pieces of a string: compiling an expression takes far more room than writing one.
const MAX_PIECES: usize = 1_000;

/// A piece of a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    /// What stands between `{{` and `}}`.
    Expression(&'a str),
}

/// Splits a string. `{{-` and `-}}` take the white space next to them away, as in Jinja; `}}` in a
/// string or in a map does not end an expression; there are no statements and no comments.
pub(super) fn split(source: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = source;
    let mut strip = false;
    loop {
        let (text, inside) = match rest.split_once("{{") {
            Some((text, inside)) => (text, Some(inside)),
            None => (rest, None),
        };
        let mut text = if strip { text.trim_start() } else { text };
        let inside = inside.map(|inside| match inside.strip_prefix('-') {
            Some(inside) => {
                text = text.trim_end();
                inside
            }
            None => inside,
        });
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        let Some(inside) = inside else {
            return Ok(pieces);
        };
        if pieces.len() >= MAX_PIECES {
            return Err(format!("a string has at most {MAX_PIECES} pieces"));
        }
        let end = end_of(inside).ok_or("`{{` without `}}`")?;
        let (expression, stripped) = match inside[..end].strip_suffix('-') {
            Some(expression) => (expression, true),
            None => (&inside[..end], false),
        };
        pieces.push(Piece::Expression(expression));
        strip = stripped;
        rest = &inside[end + 2..];
    }
}

/// What stands between the braces of a string that is one whole `{{ expression }}`.
pub(super) fn whole(source: &str) -> Option<&str> {
    match split(source.trim()).ok()?[..] {
        [Piece::Expression(expression)] => Some(expression),
        _ => None,
    }
}

/// Where the `}}` stands that ends an expression: not within a string, a list or a map.
fn end_of(source: &str) -> Option<usize> {
    let bytes = source.as_bytes();
    let mut open = 0usize;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' => {
                at += string_len(&source[at..]);
                continue;
            }
            b'}' if open == 0 => {
                return (bytes.get(at + 1) == Some(&b'}')).then_some(at);
            }
            b'{' | b'[' | b'(' => open += 1,
            b'}' | b']' | b')' => open = open.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}
