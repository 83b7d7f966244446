//! Many rows in few statements, of few sizes: each text is prepared once and found in the statement cache.

use std::fmt::Write;
use std::sync::OnceLock;

use sea_orm::{ConnectionTrait, DatabaseBackend, QueryResult, Value};

use super::script::Script;
use super::{FOR_UPDATE, all, execute};
use crate::Res;

/// Rows per statement, largest first: any number of rows is a sum of few of them.
const SIZES: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// Stands for the clock in a statement.
pub(super) const CLOCK: &str = "{clock}";
/// Stands for the lock at the end of a statement.
pub(super) const LOCKED: &str = "{locked}";

/// A statement about any number of rows of values: it inserts them, or names them and goes by them.
pub(super) struct Rows {
    /// Up to and with `VALUES`. [`CLOCK`] in it is the database's clock, or null where it is this machine's.
    head: [&'static str; 7],
    /// Columns of a row.
    columns: usize,
    /// What follows the rows. [`LOCKED`] in it takes the rows that are found for this transaction.
    tail: &'static str,
    sqlite: [OnceLock<String>; SIZES.len()],
    postgres: [OnceLock<String>; SIZES.len()],
}

impl Rows {
    pub(super) const fn new(head: &'static str, columns: usize, tail: &'static str) -> Rows {
        Rows::joined([head, "", "", "", "", "", ""], columns, tail)
    }

    /// One whose head has parts.
    pub(super) const fn joined(
        head: [&'static str; 7],
        columns: usize,
        tail: &'static str,
    ) -> Rows {
        let sqlite = [const { OnceLock::new() }; SIZES.len()];
        let postgres = [const { OnceLock::new() }; SIZES.len()];
        Rows {
            head,
            columns,
            tail,
            sqlite,
            postgres,
        }
    }

    /// Writes the rows whose values follow one another in `values`; how many were written.
    pub(super) async fn run(
        &self,
        connection: &impl ConnectionTrait,
        values: Vec<Value>,
    ) -> Res<u64> {
        let mut written = 0;
        for (sql, values) in self.statements(connection.get_database_backend(), values) {
            written += execute(connection, sql, values).await?.rows_affected();
        }
        Ok(written)
    }

    /// Adds what writes the rows whose values follow one another in `values` to what is sent together.
    pub(super) fn add(&'static self, values: Vec<Value>, script: &mut Script) {
        for (sql, values) in self.statements(DatabaseBackend::Sqlite, values) {
            script.add(sql, values);
        }
    }

    /// What is found by the rows whose values follow one another in `values`.
    pub(super) async fn find(
        &self,
        connection: &impl ConnectionTrait,
        values: Vec<Value>,
    ) -> Res<Vec<QueryResult>> {
        let mut found = Vec::new();
        for (sql, values) in self.statements(connection.get_database_backend(), values) {
            found.extend(all(connection, sql, values).await?);
        }
        Ok(found)
    }

    /// The statements it takes, in the order of the rows, each with its values.
    fn statements(
        &self,
        backend: DatabaseBackend,
        values: Vec<Value>,
    ) -> impl Iterator<Item = (&str, Vec<Value>)> + use<'_> {
        let numbered = backend == DatabaseBackend::Postgres;
        let texts = if numbered {
            &self.postgres
        } else {
            &self.sqlite
        };
        let mut left = values.len() / self.columns;
        let mut values = values.into_iter();
        std::iter::from_fn(move || {
            let at = SIZES.iter().position(|size| *size <= left)?;
            left -= SIZES[at];
            let sql = texts[at].get_or_init(|| self.text(SIZES[at], numbered));
            let values = values.by_ref().take(SIZES[at] * self.columns);
            Some((sql.as_str(), values.collect()))
        })
    }

    /// The statement for so many rows. Places are numbered for Postgres; SQLite would search all of them
    /// for each number, so there they have none.
    fn text(&self, rows: usize, numbered: bool) -> String {
        let (clock, locked) = match numbered {
            true => (crate::db::POSTGRES_CLOCK, FOR_UPDATE),
            false => ("NULL", ""),
        };
        let mut sql = self.head.concat().replace(CLOCK, clock);
        sql.push(' ');
        for row in 0..rows {
            sql.push_str(if row == 0 { "(" } else { ", (" });
            for column in 1..=self.columns {
                let comma = if column == 1 { "" } else { ", " };
                // Writing to a String cannot fail.
                let _ = match numbered {
                    true => write!(sql, "{comma}${}", row * self.columns + column),
                    false => write!(sql, "{comma}?"),
                };
            }
            sql.push(')');
        }
        sql.push(' ');
        sql.push_str(&self.tail.replace(LOCKED, locked));
        if numbered { looked_up(&sql) } else { sql }
    }
}

/// What statements about rows find others by.
const KEYS: [&str; 2] = ["v.column1", "f.id"];

/// The statement for Postgres, where a join may be walked from either side: by statistics that were taken while a table
/// was empty, as those of what goes on often are, it is read through for every row. A key in an array can only be
/// looked up.
pub(super) fn looked_up(sql: &str) -> String {
    KEYS.iter().fold(sql.to_owned(), |sql, key| {
        let (equal, among) = (format!(" = {key}"), format!(" = ANY (ARRAY[{key}])"));
        let mut parts = sql.split(&equal);
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            // `v.column12` is another column.
            let other = part.starts_with(|next: char| next.is_ascii_digit());
            text.push_str(if other { &equal } else { &among });
            text.push_str(part);
        }
        text
    })
}

/// The ids of one statement, and `$n, $n+1, …` for its IN list. The list is filled up with its last
/// id to one of the sizes above.
pub(super) struct List {
    pub(super) ids: Vec<Value>,
    pub(super) places: String,
}

/// Cuts ids into IN lists whose first place is `$first`.
pub(super) fn lists<'a, T>(ids: &'a [T], first: usize) -> impl Iterator<Item = List> + 'a
where
    T: Copy + Into<Value> + 'a,
{
    cut(ids, move |at| format!("${}", first + at))
}

/// Cuts ids into IN lists with bare places, for what is sent together.
pub(super) fn bare_lists<'a, T>(ids: &'a [T]) -> impl Iterator<Item = List> + 'a
where
    T: Copy + Into<Value> + 'a,
{
    cut(ids, |_| "?".to_owned())
}

fn cut<'a, T>(ids: &'a [T], place: impl Fn(usize) -> String + 'a) -> impl Iterator<Item = List> + 'a
where
    T: Copy + Into<Value> + 'a,
{
    ids.chunks(SIZES[0]).map(move |chunk| {
        let size = chunk.len().next_power_of_two();
        let mut filled: Vec<Value> = chunk.iter().map(|id| (*id).into()).collect();
        if let Some(last) = filled.last().cloned() {
            filled.resize(size, last);
        }
        let places: Vec<String> = (0..size).map(&place).collect();
        List {
            ids: filled,
            places: places.join(", "),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_filled_up_with_its_last_id() {
        let lists: Vec<List> = lists(&[1_i64, 2, 3], 2).collect();
        assert_eq!(lists.len(), 1);
        assert_eq!(lists[0].places, "$2, $3, $4, $5");
        assert_eq!(lists[0].ids, [1_i64, 2, 3, 3].map(Value::from));
    }

    #[test]
    fn many_ids_are_cut_into_lists() {
        let ids: Vec<i64> = (0..130).collect();
        let sizes: Vec<usize> = lists(&ids, 1).map(|list| list.ids.len()).collect();
        assert_eq!(sizes, [64, 64, 2]);
    }

    #[test]
    fn a_key_is_looked_up_on_postgres_and_equal_on_sqlite() {
        let update = Rows::new(
            "UPDATE t SET a = v.column12 FROM (VALUES",
            2,
            ") AS v WHERE id = v.column1",
        );
        let (postgres, sqlite) = (update.text(1, true), update.text(1, false));
        assert!(postgres.ends_with(
            "SET a = v.column12 FROM (VALUES ($1, $2) ) AS v WHERE id = ANY (ARRAY[v.column1])"
        ));
        assert!(sqlite.ends_with("WHERE id = v.column1"));
    }

    #[test]
    fn rows_have_their_places_one_after_the_other() {
        let insert = Rows::new("INSERT INTO t (a, b) VALUES", 2, "ON CONFLICT DO NOTHING");
        assert_eq!(
            insert.text(2, true),
            "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING"
        );
        assert_eq!(
            insert.text(2, false),
            "INSERT INTO t (a, b) VALUES (?, ?), (?, ?) ON CONFLICT DO NOTHING"
        );
    }
}
