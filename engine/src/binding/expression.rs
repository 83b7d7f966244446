//! One expression: read and compiled once, evaluated as often as runs need it.

use std::sync::Arc;

use minijinja::Value;

use super::environment::ENVIRONMENT;
use super::keys::{Keys, Named};
use super::references::References;
use super::scope::{Names, Scope};
use super::text::{Bounded, Trouble, UNDEFINED, reason};

/// The longest expression, in bytes.
const MAX_LEN: usize = 16 << 10;

/// A compiled expression and the tasks it looks at.
#[derive(Debug)]
pub(crate) struct Expression {
    source: Box<str>,
    compiled: minijinja::Expression<'static, 'static>,
    tasks: Vec<Reference>,
    plain: bool,
}

/// A task an expression looks at.
#[derive(Debug)]
struct Reference {
    key: Arc<str>,
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
        let references = References::of(source)?;
        let compiled = ENVIRONMENT
            .compile_expression_owned(source.to_owned())
            .map_err(|error| match reason(&error) {
                Trouble::Bad(reason) => reason,
                Trouble::TooLarge => "too large".to_owned(),
            })?;
        let tasks = references
            .tasks
            .into_iter()
            .map(|key| Reference {
                key: key.into(),
                position: None,
            })
            .collect();
        Ok(Expression {
            source: source.into(),
            compiled,
            tasks,
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

    /// Finds the tasks it looks at.
    pub(crate) fn resolve(&mut self, keys: &Keys) {
        for task in &mut self.tasks {
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
        out.push_value(&self.eval(scope)?)
    }

    /// Appends the value as part of a text: a string as it is, everything else as JSON.
    pub(super) fn push_text(&self, out: &mut Bounded, scope: &dyn Scope) -> Result<(), Trouble> {
        let value = self.eval(scope)?;
        match value.as_str() {
            Some(text) => out.push(text),
            None => out.push_value(&value),
        }
    }

    /// Whether the value counts as true.
    pub(super) fn is_true(&self, scope: &dyn Scope) -> Result<bool, Trouble> {
        self.eval(scope).map(|value| value.is_true())
    }

    fn eval(&self, scope: &dyn Scope) -> Result<Value, Trouble> {
        let tasks = self
            .tasks
            .iter()
            .map(|task| (Arc::clone(&task.key), task.result(scope).cloned()))
            .collect();
        let names = Value::from_object(Names::new(scope, tasks));
        let value = self.compiled.eval(names).map_err(|error| reason(&error))?;
        if value.is_undefined() {
            Err(UNDEFINED.into())
        } else {
            Ok(value)
        }
    }
}

impl Reference {
    fn result<'a>(&self, scope: &'a dyn Scope) -> Option<&'a crate::Json> {
        scope.result(self.position? as usize)
    }
}
