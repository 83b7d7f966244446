//! An argument as the flow gives it: a JSON value whose strings may hold expressions.

use serde_json::Value;

use super::expression::Expression;
use super::keys::Keys;
use super::scope::Scope;
use super::template::{Piece, split, whole};
use super::text::{Bounded, Trouble, quoted};
use crate::Loc;

/// How deep an argument may nest: the plan holds it some levels down, and has its own limit.
const MAX_DEPTH: usize = 32;

/// An argument, its expressions compiled, everything that never changes kept as JSON text.
#[derive(Debug)]
pub(crate) enum Argument {
    Fixed(Box<str>),
    /// Its value is the expression's, whatever its type.
    Whole(Expression),
    /// A string made of several pieces.
    Mixed(Vec<Part>),
    Array(Vec<Argument>),
    /// Names as JSON text.
    Object(Vec<(Box<str>, Argument)>),
}

/// A piece of a string.
#[derive(Debug)]
pub(crate) enum Part {
    Text(Box<str>),
    Expression(Expression),
}

/// What is wrong with an argument, and where in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) loc: Vec<Loc>,
    pub(crate) reason: String,
}

impl Argument {
    /// Reads an argument; every flaw is added to `flaws`, and stands as `null` in what is returned.
    pub(crate) fn parse(value: &Value, flaws: &mut Vec<Flaw>) -> Argument {
        Argument::read(value, &mut Vec::new(), flaws)
    }

    /// Reads the argument of a parameter of type `expression`: a string that is evaluated, braces or not.
    pub(crate) fn expression(value: &Value, flaws: &mut Vec<Flaw>) -> Argument {
        let Value::String(source) = value else {
            let reason = "an expression is given as a string".to_owned();
            flaws.push(Flaw {
                loc: Vec::new(),
                reason,
            });
            return null();
        };
        Argument::whole(whole(source).unwrap_or(source), &[], flaws)
    }

    fn read(value: &Value, loc: &mut Vec<Loc>, flaws: &mut Vec<Flaw>) -> Argument {
        if loc.len() > MAX_DEPTH {
            let reason = format!("an argument nests at most {MAX_DEPTH} levels deep");
            flaws.push(Flaw {
                loc: loc.clone(),
                reason,
            });
            return null();
        }
        match value {
            Value::String(text) if text.contains("{{") => Argument::template(text, loc, flaws),
            Value::Array(items) => {
                let items = items.iter().enumerate().map(|(at, item)| {
                    loc.push(Loc::from(at));
                    let item = Argument::read(item, loc, flaws);
                    loc.pop();
                    item
                });
                fixed_if(items.collect(), Argument::is_fixed, Argument::Array, value)
            }
            Value::Object(members) => {
                let members = members.iter().map(|(name, member)| {
                    loc.push(Loc::from(name.as_str()));
                    let member = Argument::read(member, loc, flaws);
                    loc.pop();
                    (quoted(name).into(), member)
                });
                fixed_if(
                    members.collect(),
                    |(_, member)| member.is_fixed(),
                    Argument::Object,
                    value,
                )
            }
            _ => Argument::Fixed(value.to_string().into()),
        }
    }

    fn template(text: &str, loc: &[Loc], flaws: &mut Vec<Flaw>) -> Argument {
        let pieces = match split(text) {
            Ok(pieces) => pieces,
            Err(reason) => {
                flaws.push(Flaw {
                    loc: loc.to_vec(),
                    reason,
                });
                return null();
            }
        };
        if let [Piece::Expression(source)] = pieces[..] {
            return Argument::whole(source, loc, flaws);
        }
        let mut parts = Vec::with_capacity(pieces.len());
        for piece in pieces {
            match piece {
                Piece::Text(text) => parts.push(Part::Text(text.into())),
                Piece::Expression(source) => match Expression::parse(source) {
                    Ok(expression) => parts.push(Part::Expression(expression)),
                    Err(reason) => flaws.push(Flaw {
                        loc: loc.to_vec(),
                        reason,
                    }),
                },
            }
        }
        Argument::Mixed(parts)
    }

    fn whole(source: &str, loc: &[Loc], flaws: &mut Vec<Flaw>) -> Argument {
        Expression::parse(source)
            .map(Argument::Whole)
            .unwrap_or_else(|reason| {
                flaws.push(Flaw {
                    loc: loc.to_vec(),
                    reason,
                });
                null()
            })
    }

    pub(super) fn is_fixed(&self) -> bool {
        matches!(self, Argument::Fixed(_))
    }

    /// Its expressions, in order.
    pub(crate) fn expressions(&self) -> Vec<&Expression> {
        let mut found = Vec::new();
        self.each(&mut |expression| found.push(expression));
        found
    }

    pub(crate) fn each<'a>(&'a self, visit: &mut impl FnMut(&'a Expression)) {
        match self {
            Argument::Fixed(_) => {}
            Argument::Whole(expression) => visit(expression),
            Argument::Mixed(parts) => parts.iter().for_each(|part| match part {
                Part::Text(_) => {}
                Part::Expression(expression) => visit(expression),
            }),
            Argument::Array(items) => items.iter().for_each(|item| item.each(visit)),
            Argument::Object(members) => members.iter().for_each(|(_, member)| member.each(visit)),
        }
    }

    /// The way to its first expression that looks at the task `key` or its gate.
    pub(crate) fn find(&self, key: &str) -> Option<Vec<Loc>> {
        let looks = |expression: &Expression| {
            expression
                .tasks()
                .chain(expression.gates())
                .any(|task| task == key)
        };
        match self {
            Argument::Fixed(_) => None,
            Argument::Whole(expression) => looks(expression).then(Vec::new),
            Argument::Mixed(parts) => parts
                .iter()
                .any(|part| matches!(part, Part::Expression(expression) if looks(expression)))
                .then(Vec::new),
            Argument::Array(items) => items.iter().enumerate().find_map(|(at, item)| {
                item.find(key)
                    .map(|way| [vec![Loc::from(at)], way].concat())
            }),
            Argument::Object(members) => members.iter().find_map(|(name, member)| {
                let name: String = serde_json::from_str(name).unwrap_or_default();
                member
                    .find(key)
                    .map(|way| [vec![Loc::from(name)], way].concat())
            }),
        }
    }

    /// Finds the tasks its expressions look at.
    pub(crate) fn resolve(&mut self, keys: &Keys) {
        match self {
            Argument::Fixed(_) => {}
            Argument::Whole(expression) => expression.resolve(keys),
            Argument::Mixed(parts) => parts.iter_mut().for_each(|part| match part {
                Part::Text(_) => {}
                Part::Expression(expression) => expression.resolve(keys),
            }),
            Argument::Array(items) => items.iter_mut().for_each(|item| item.resolve(keys)),
            Argument::Object(members) => {
                members
                    .iter_mut()
                    .for_each(|(_, member)| member.resolve(keys));
            }
        }
    }

    /// Appends its value as JSON, or says which expression has none.
    pub(super) fn push(&self, out: &mut Bounded, scope: &dyn Scope) -> Result<(), Trouble> {
        match self {
            Argument::Fixed(text) => out.push(text),
            Argument::Whole(expression) => expression
                .push_json(out, scope)
                .map_err(|trouble| naming(expression, trouble)),
            Argument::Mixed(parts) => {
                let mut text = Bounded::default();
                for part in parts {
                    match part {
                        Part::Text(piece) => text.push(piece)?,
                        Part::Expression(expression) => expression
                            .push_text(&mut text, scope)
                            .map_err(|trouble| naming(expression, trouble))?,
                    }
                }
                out.push_quoted(&text.into_string())
            }
            Argument::Array(items) => {
                out.push("[")?;
                for (at, item) in items.iter().enumerate() {
                    out.push(if at > 0 { "," } else { "" })?;
                    item.push(out, scope)?;
                }
                out.push("]")
            }
            Argument::Object(members) => {
                out.push("{")?;
                for (at, (name, member)) in members.iter().enumerate() {
                    out.push(if at > 0 { "," } else { "" })?;
                    out.push(name)?;
                    out.push(":")?;
                    member.push(out, scope)?;
                }
                out.push("}")
            }
        }
    }
}

/// Names the expression that failed.
pub(super) fn naming(expression: &Expression, trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Bad(reason) => {
            let source = super::text::shortened(expression.source(), 200);
            Trouble::Bad(format!("`{{{{ {source} }}}}`: {reason}"))
        }
        Trouble::TooLarge => Trouble::TooLarge,
    }
}

fn null() -> Argument {
    Argument::Fixed("null".into())
}

/// A container of nothing but fixed parts is fixed itself.
fn fixed_if<T>(
    parts: Vec<T>,
    is_fixed: impl Fn(&T) -> bool,
    make: impl Fn(Vec<T>) -> Argument,
    value: &Value,
) -> Argument {
    if parts.iter().all(is_fixed) {
        Argument::Fixed(value.to_string().into())
    } else {
        make(parts)
    }
}
