//! One expression: read and compiled once, evaluated as often as runs need it.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use minijinja::Value;

use super::environment::ENVIRONMENT;
use super::guard::guarded;
use super::keys::{Keys, Named};
use super::lex::{Word, words};
use super::references::References;
use super::scope::{Names, Scope};
use super::text::{Bounded, Trouble, UNDEFINED, in_words};

/// The longest expression, in bytes.
const MAX_LEN: usize = 16 << 10;

/// The most words of an expression. The compiler recurses once per sign in `- - - 1`, so this also keeps
/// it off the end of the stack.
const MAX_WORDS: usize = 400;

/// How much data an expression may look at, in bytes of JSON, counted each time it looks.
const MAX_LOOKED_AT: usize = 8 << 20;

/// A compiled expression and the tasks it looks at.
#[derive(Debug)]
pub(crate) struct Expression {
    source: Box<str>,
    compiled: minijinja::Expression<'static, 'static>,
    tasks: Vec<Reference>,
    /// The gates it looks at.
    gates: Vec<Reference>,
    /// How often it looks at the request's metadata.
    metadata: usize,
    /// Whether it is a task's result and nothing else.
    plain: bool,
}

/// A task, or its gate, that an expression looks at.
#[derive(Debug)]
struct Reference {
    key: Arc<str>,
    /// How often the expression looks at it.
    times: usize,
    /// Where the task stands; unknown until the graph has told.
    position: Option<u32>,
}

impl Expression {
    /// Reads and compiles an expression, or says what is wrong with it.
    pub(crate) fn parse(source: &str) -> Result<Expression, String> {
        let source = source.trim();
        if source.len() > MAX_LEN {
            return Err(format!("an expression has at most {MAX_LEN} bytes"));
        }
        if source.is_empty() {
            return Err("the expression is empty".to_owned());
        }
        let words: Vec<Word<'_>> = words(source).take(MAX_WORDS + 1).collect();
        if words.len() > MAX_WORDS {
            return Err(format!("an expression has at most {MAX_WORDS} words"));
        }
        let references = References::of(&words)?;
        let compiled = ENVIRONMENT
            .compile_expression_owned(guarded(source, &words).into_owned())
            .map_err(|error| in_words(&error))?;
        let reference = |(key, times): (String, usize)| Reference {
            key: key.into(),
            times,
            position: None,
        };
        Ok(Expression {
            source: source.into(),
            compiled,
            tasks: references.tasks.into_iter().map(reference).collect(),
            gates: references.gates.into_iter().map(reference).collect(),
            metadata: references.metadata,
            plain: references.plain,
        })
    }

    /// The expression as written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The keys of the tasks it looks at.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = &str> {
        self.tasks.iter().map(|task| &*task.key)
    }

    /// The keys of the gates it looks at.
    pub(crate) fn gates(&self) -> impl Iterator<Item = &str> {
        self.gates.iter().map(|gate| &*gate.key)
    }

    /// Finds the tasks and gates it looks at.
    pub(crate) fn resolve(&mut self, keys: &Keys) {
        for task in self.tasks.iter_mut().chain(&mut self.gates) {
            task.position = match keys.get(&task.key) {
                Some(Named::One(position)) => Some(position),
                Some(Named::Several) | None => None,
            };
        }
    }

    /// Appends the value as JSON. A whole result passes through as the text it is.
    pub(super) fn push_json(&self, out: &mut Bounded, scope: &dyn Scope) -> Result<(), Trouble> {
        if let ([task], true) = (&self.tasks[..], self.plain) {
            return match task.result(scope) {
                Some(result) => out.push(result.text()),
                None => Err(UNDEFINED.into()),
            };
        }
        let value = self.eval(scope)?;
        caught(|| out.push_value(&value))
    }

    /// Appends the value as part of a text: a string as it is, everything else as JSON.
    pub(super) fn push_text(&self, out: &mut Bounded, scope: &dyn Scope) -> Result<(), Trouble> {
        let value = self.eval(scope)?;
        match value.as_str() {
            Some(text) => out.push(text),
            None => caught(|| out.push_value(&value)),
        }
    }

    /// Whether the value counts as true.
    pub(super) fn is_true(&self, scope: &dyn Scope) -> Result<bool, Trouble> {
        let value = self.eval(scope)?;
        caught(|| Ok(value.is_true()))
    }

    fn eval(&self, scope: &dyn Scope) -> Result<Value, Trouble> {
        if self.looks_at(scope) > MAX_LOOKED_AT {
            return Err("it looks at too much data at once".into());
        }
        let tasks = self
            .tasks
            .iter()
            .map(|task| (Arc::clone(&task.key), task.result(scope).cloned()))
            .collect();
        let gates = self
            .gates
            .iter()
            .map(|gate| (Arc::clone(&gate.key), gate.answer(scope).cloned()))
            .collect();
        let names = Value::from_object(Names::new(scope, tasks, gates));
        let evaluate = || self.compiled.eval(names);
        let value = caught(|| evaluate().map_err(|error| Trouble::Bad(in_words(&error))))?;
        if value.is_undefined() {
            Err(UNDEFINED.into())
        } else {
            Ok(value)
        }
    }
}

/// Runs the library's code. It is not ours and the expression may be hostile: should the one bring the
/// other to panic (`[1][::-9223372036854775808]` does, where overflow is checked), a task fails, no
/// worker. Some values are made only when they are looked at, so writing one counts, too.
fn caught<T>(work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    panic::catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Trouble::from("it cannot be evaluated")))
}

impl Expression {
    /// Bytes of JSON it looks at.
    fn looks_at(&self, scope: &dyn Scope) -> usize {
        let of_task = |task: &Reference| {
            task.result(scope)
                .map_or(0, |result| result.text().len())
                .saturating_mul(task.times)
        };
        let of_gate = |gate: &Reference| {
            gate.answer(scope)
                .map_or(0, |answer| answer.text().len())
                .saturating_mul(gate.times)
        };
        let of_metadata = match self.metadata {
            0 => 0,
            times => scope.head().request.metadata.size().saturating_mul(times),
        };
        self.tasks
            .iter()
            .map(of_task)
            .chain(self.gates.iter().map(of_gate))
            .fold(of_metadata, usize::saturating_add)
    }
}

impl Reference {
    fn result<'a>(&self, scope: &'a dyn Scope) -> Option<&'a crate::Json> {
        scope.result(self.position? as usize)
    }

    fn answer<'a>(&self, scope: &'a dyn Scope) -> Option<&'a crate::Json> {
        scope.gate(self.position? as usize)
    }
}
