//! A guard on `*`: the one operator that can make a small expression's value enormous.

use std::borrow::Cow;

use super::environment::SCALAR;
use super::lex::{Token, Word};
use super::references::is_keyword;

/// The expression with a filter on each operand of a multiplication, which refuses lists. A filter binds
/// to the operand right before it, so only the place where an operand ends matters: before the next
/// operator, keyword, comma or closing bracket.
pub(super) fn guarded<'a>(source: &'a str, words: &[Word<'a>]) -> Cow<'a, str> {
    if !words.iter().any(|word| word.token == Token::Sign(b'*')) {
        return Cow::Borrowed(source);
    }
    let mut out = String::with_capacity(source.len() + 64);
    let mut copied = 0;
    // For each open bracket: whether the operand being read stands right of a `*`.
    let mut right = vec![false];
    for (at, word) in words.iter().enumerate() {
        let end = at.checked_sub(1).map(|before| words[before].end);
        let times = word.token == Token::Sign(b'*');
        if let (Some(end), true) = (end, ends_operand(words, at)) {
            if times || right.last() == Some(&true) {
                out.push_str(&source[copied..end]);
                out.push('|');
                out.push_str(SCALAR);
                copied = end;
            }
            if let Some(right) = right.last_mut() {
                *right = times;
            }
        }
        match word.token {
            Token::Sign(b'(' | b'[' | b'{') => right.push(false),
            Token::Sign(b')' | b']' | b'}') => drop(right.pop()),
            _ => {}
        }
    }
    out.push_str(&source[copied..]);
    if right.last() == Some(&true) {
        out.push('|');
        out.push_str(SCALAR);
    }
    Cow::Owned(out)
}

/// Whether the word at a place ends the operand before it. Where there is none (a sign in front, a
/// star in front of arguments) there is nothing to end.
fn ends_operand(words: &[Word<'_>], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map(|place| words[place].token);
    let is_test = |back| before(back) == Some(Token::Name("is"));
    let operand_before = match before(1) {
        None => false,
        Some(Token::Name(name)) => {
            !is_keyword(name)
                || is_literal(name)
                || is_member(before(2))
                || is_test(2)
                || is_test(3)
        }
        Some(Token::Text(_) | Token::Number | Token::Sign(b')' | b']' | b'}')) => true,
        Some(Token::Sign(_) | Token::Operator(_)) => false,
    };
    if !operand_before {
        return false;
    }
    match words[at].token {
        Token::Name(name) => {
            is_keyword(name)
                && !is_literal(name)
                && name != "is"
                && !is_test(1)
                && !(is_test(2) && before(1) == Some(Token::Name("not")))
        }
        Token::Operator(_) => true,
        Token::Sign(sign) => !matches!(sign, b'.' | b'|' | b'(' | b'[' | b'{'),
        Token::Text(_) | Token::Number => false,
    }
}

/// Whether a name right after this is a member or a filter rather than a keyword.
fn is_member(before: Option<Token<'_>>) -> bool {
    matches!(before, Some(Token::Sign(b'.' | b'|')))
}

fn is_literal(name: &str) -> bool {
    matches!(name, "true" | "false" | "none" | "True" | "False" | "None")
}
