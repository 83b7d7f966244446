//! The words of an expression: enough of its lexical structure to tell names from strings.

/// One word of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name or a keyword.
    Name(&'a str),
    /// What stands between the quotes, escapes not undone.
    Text(&'a str),
    /// A number, or something glued to one.
    Number,
    /// Any other character that is no part of an [`Token::Operator`].
    Sign(u8),
    /// `==`, `!=`, `<=`, `>=`, `**` or `//`.
    Operator(&'a str),
}

/// A word and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) token: Token<'a>,
    pub(super) end: usize,
}

/// Splits an expression into words. Never fails: what is malformed is the compiler's to report.
pub(super) fn words(source: &str) -> impl Iterator<Item = Word<'_>> {
    let mut rest = source;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let first = *rest.as_bytes().first()?;
        let (token, len) = match first {
            b'"' | b'\'' => {
                let len = string_len(rest);
                (Token::Text(rest.get(1..len - 1).unwrap_or_default()), len)
            }
            b'0'..=b'9' => (Token::Number, run_len(rest)),
            _ if is_word(first) => (Token::Name(&rest[..run_len(rest)]), run_len(rest)),
            _ if is_operator(rest.as_bytes()) => (Token::Operator(&rest[..2]), 2),
            _ => (
                Token::Sign(first),
                rest.chars().next().map_or(1, char::len_utf8),
            ),
        };
        rest = &rest[len..];
        Some(Word {
            token,
            end: source.len() - rest.len(),
        })
    })
}

fn is_operator(rest: &[u8]) -> bool {
    matches!(
        rest,
        [b'=' | b'!' | b'<' | b'>', b'=', ..] | [b'*', b'*', ..] | [b'/', b'/', ..]
    )
}

/// Bytes of the string literal that `text` begins with, both quotes included; all of it if unclosed.
pub(super) fn string_len(text: &str) -> usize {
    let quote = text.as_bytes().first().copied();
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        if escaped {
            escaped = false;
        } else if byte == b'\\' {
            escaped = true;
        } else if Some(byte) == quote {
            return at + 1;
        }
    }
    text.len()
}

fn run_len(text: &str) -> usize {
    text.bytes().take_while(|&byte| is_word(byte)).count()
}

fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}
