//! What an expression refers to, read from its words before it runs.
//!
//! Every task an expression looks at must be known when the flow is posted: it has to stand upstream, or
//! the expression would depend on who finishes first. So tasks are named literally.

use super::environment::{FILTERS, FUNCTIONS, TESTS};
use super::lex::{Token, Word};

/// How deep brackets may nest.
const MAX_NESTING: usize = 30;

const REQUEST: [&str; 3] = ["instructions", "metadata", "name"];
const RUN: [&str; 4] = ["flow", "id", "organization", "triggered_by"];

/// What an expression looks at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct References {
    /// Keys of tasks, and how often each is looked at.
    pub(super) tasks: Vec<(String, usize)>,
    /// Keys of gates, and how often each is looked at.
    pub(super) gates: Vec<(String, usize)>,
    /// How often the request's metadata is looked at.
    pub(super) metadata: usize,
    /// Whether the expression is nothing but `tasks.<key>.result`.
    pub(super) plain: bool,
}

impl References {
    /// Reads an expression, or says what it names that is not there.
    pub(super) fn of(words: &[Word<'_>]) -> Result<References, String> {
        let tokens: Vec<Token<'_>> = words.iter().map(|word| word.token).collect();
        let mut found = References::default();
        let mut nesting = 0usize;
        for (at, token) in tokens.iter().enumerate() {
            match *token {
                Token::Name(name) => found.name(name, &tokens[..at], &tokens[at + 1..])?,
                Token::Sign(b'(' | b'[' | b'{') => nesting += 1,
                Token::Sign(b')' | b']' | b'}') => nesting = nesting.saturating_sub(1),
                _ => {}
            }
            if nesting > MAX_NESTING {
                return Err(format!("brackets nest at most {MAX_NESTING} deep"));
            }
        }
        const DOT: Token<'_> = Token::Sign(b'.');
        found.plain = found.tasks.len() == 1
            && matches!(tokens[..], [_, DOT, Token::Name(_), DOT, Token::Name(_)]);
        Ok(found)
    }

    /// Takes note of the name between `before` and `after`.
    fn name(
        &mut self,
        name: &str,
        before: &[Token<'_>],
        after: &[Token<'_>],
    ) -> Result<(), String> {
        match (before, after) {
            ([.., Token::Sign(b'.')], _) => Ok(()),
            ([.., Token::Sign(b'|')], _) => listed("filter", name, &FILTERS),
            ([.., Token::Name("is")], _) if name == "not" => Ok(()),
            ([.., Token::Name("is")] | [.., Token::Name("is"), Token::Name("not")], _) => {
                listed("test", name, &TESTS)
            }
            ([.., Token::Sign(b'(' | b',')], [Token::Sign(b'='), ..]) => Ok(()),
            _ if is_keyword(name) || FUNCTIONS.contains(&name) => Ok(()),
            _ => self.root(name, after),
        }
    }

    fn root(&mut self, name: &str, after: &[Token<'_>]) -> Result<(), String> {
        match name {
            "tasks" => {
                let Some((key, rest)) = member(after) else {
                    return Err("`tasks` is used as `tasks.<key>.result`".to_owned());
                };
                if member(rest).is_none_or(|(field, _)| field != "result") {
                    return Err(format!("`tasks.{key}` is used as `tasks.{key}.result`"));
                }
                count(&mut self.tasks, key);
                Ok(())
            }
            "gates" => {
                let Some((key, _)) = member(after) else {
                    return Err("`gates` is used as `gates.<key>`".to_owned());
                };
                count(&mut self.gates, key);
                Ok(())
            }
            "request" => {
                if member(after).is_some_and(|(field, _)| field == "metadata") {
                    self.metadata += 1;
                }
                field_of("request", after, &REQUEST)
            }
            "run" => field_of("run", after, &RUN),
            _ => Err(format!(
                "`{name}` is unknown; there are `tasks`, `gates`, `request` and `run`"
            )),
        }
    }
}

fn count(keys: &mut Vec<(String, usize)>, key: &str) {
    match keys.iter_mut().find(|(known, _)| known == key) {
        Some((_, times)) => *times += 1,
        None => keys.push((key.to_owned(), 1)),
    }
}

/// The member named right after a value, by dot or by literal subscript, and what follows it.
fn member<'a, 'b>(after: &'b [Token<'a>]) -> Option<(&'a str, &'b [Token<'a>])> {
    match after {
        [Token::Sign(b'.'), Token::Name(name), rest @ ..] => Some((name, rest)),
        [
            Token::Sign(b'['),
            Token::Text(name),
            Token::Sign(b']'),
            rest @ ..,
        ] if !name.contains('\\') => Some((name, rest)),
        _ => None,
    }
}

fn field_of(what: &str, after: &[Token<'_>], fields: &[&str]) -> Result<(), String> {
    match member(after) {
        Some((field, _)) if fields.contains(&field) => Ok(()),
        Some((field, _)) => Err(format!(
            "`{what}` has no `{field}`, but {}",
            quoted_list(fields)
        )),
        None => Err(format!(
            "`{what}` is used by field: {}",
            quoted_list(fields)
        )),
    }
}

fn listed(kind: &str, name: &str, known: &[&str]) -> Result<(), String> {
    if known.contains(&name) {
        Ok(())
    } else {
        Err(format!("there is no {kind} `{name}`"))
    }
}

fn quoted_list(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

pub(super) fn is_keyword(name: &str) -> bool {
    matches!(
        name,
        "and"
            | "or"
            | "not"
            | "in"
            | "is"
            | "if"
            | "else"
            | "true"
            | "false"
            | "none"
            | "True"
            | "False"
            | "None"
    )
}
