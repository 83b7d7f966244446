//! What is only written, gathered and sent together: one trip to the database, however many tables it touches.
//!
//! SQLite takes it as one text of several statements and carries them out in order. On Postgres they are parts of one
//! statement, which do not see each other: no two of them write the same row.

use std::borrow::Cow;
use std::fmt::Write;

use sea_orm::{ConnectionTrait, DatabaseBackend, Value};

use super::chunk::looked_up;
use super::execute;
use crate::Res;

/// Statements of few values ride together; the text of a long one is worth being prepared by itself, since there it is
/// found again whatever stands beside it.
const SHORT: usize = 24;

/// A statement and its values.
type Part = (Cow<'static, str>, Vec<Value>);

/// Statements, with a bare `?` for each value.
#[derive(Default)]
pub(super) struct Script(Vec<Part>);

impl Script {
    /// Adds a statement after those that are there.
    pub(super) fn add(&mut self, sql: impl Into<Cow<'static, str>>, values: Vec<Value>) {
        self.0.push((sql.into(), values));
    }

    /// Carries all of it out, in order.
    pub(super) async fn run(self, connection: &impl ConnectionTrait) -> Res<()> {
        let numbered = connection.get_database_backend() == DatabaseBackend::Postgres;
        for trip in trips(self.0) {
            let sql = together(&trip, numbered);
            let values = trip.into_iter().flat_map(|(_, values)| values);
            execute(connection, sql, values).await?;
        }
        Ok(())
    }
}

/// What goes together, in the order it was added in: neighbours that are short.
fn trips(parts: Vec<Part>) -> Vec<Vec<Part>> {
    let short = |part: &Part| part.1.len() <= SHORT;
    let mut trips: Vec<Vec<Part>> = Vec::new();
    for part in parts {
        match trips.last_mut() {
            Some(trip) if short(&part) && trip.iter().all(short) => trip.push(part),
            _ => trips.push(vec![part]),
        }
    }
    trips
}

/// One text of all of them.
fn together(statements: &[Part], numbered: bool) -> String {
    let mut text = String::with_capacity(statements.iter().map(|(sql, _)| sql.len() + 32).sum());
    let mut place = 0;
    for (at, (sql, _)) in statements.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = match (numbered, statements.len(), at) {
            (false, _, 0) => write!(text, "{sql}"),
            (false, ..) => write!(text, "; {sql}"),
            (true, 1, _) => write!(text, "{}", number(sql, &mut place)),
            (true, _, 0) => write!(text, "WITH w0 AS ({})", number(sql, &mut place)),
            (true, ..) => write!(text, ", w{at} AS ({})", number(sql, &mut place)),
        };
    }
    if numbered && statements.len() > 1 {
        text.push_str(" SELECT 1 WHERE false");
    }
    text
}

/// The statement with its places numbered from the one after `place`, as Postgres has them.
pub(super) fn number(sql: &str, place: &mut usize) -> String {
    let sql = looked_up(sql);
    let mut text = String::with_capacity(sql.len() + 32);
    for (at, part) in sql.split('?').enumerate() {
        if at > 0 {
            *place += 1;
            // Writing to a String cannot fail.
            let _ = write!(text, "${place}");
        }
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(all: &[&'static str]) -> Vec<Part> {
        all.iter()
            .map(|sql| (Cow::Borrowed(*sql), Vec::new()))
            .collect()
    }

    const TWO: [&str; 2] = ["DELETE FROM a WHERE x = ?", "INSERT INTO b VALUES (?, ?)"];

    #[test]
    fn sqlite_takes_one_text_with_bare_places() {
        assert_eq!(
            together(&statements(&TWO), false),
            "DELETE FROM a WHERE x = ?; INSERT INTO b VALUES (?, ?)"
        );
    }

    #[test]
    fn postgres_takes_parts_of_one_statement_with_places_that_go_on() {
        assert_eq!(
            together(&statements(&TWO), true),
            "WITH w0 AS (DELETE FROM a WHERE x = $1), w1 AS (INSERT INTO b VALUES ($2, $3)) \
             SELECT 1 WHERE false"
        );
    }

    #[test]
    fn one_statement_stays_as_it_is() {
        assert_eq!(
            together(&statements(&TWO[..1]), true),
            "DELETE FROM a WHERE x = $1"
        );
    }

    #[test]
    fn a_long_statement_does_not_overtake_the_short_ones_before_it() {
        let part = |sql: &'static str, values| (Cow::Borrowed(sql), vec![Value::from(1); values]);
        let order = ["put", "withdraw", "delete many", "note"];
        let parts = order.into_iter().zip([17, 3, 32, 9]);
        let trips = trips(parts.map(|(sql, values)| part(sql, values)).collect());
        let texts: Vec<String> = trips.iter().map(|trip| together(trip, false)).collect();
        assert_eq!(texts, ["put; withdraw", "delete many", "note"]);
    }
}
