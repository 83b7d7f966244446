//! Why the database did not do what it was asked, sorted by what the caller can do about it.

use sea_orm::{DbErr, RuntimeErr};

/// What a verb of the store answers.
pub type Res<T> = Result<T, StoreError>;

/// Why a verb did not answer `Ok`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing was written; try again later.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// Maybe written: ask again with the same arguments until it is known.
    #[error("whether the database wrote it is unknown: {0}")]
    Unknown(String),
    /// The data is at fault, given or stored; nothing was written, and trying again does not help.
    #[error("the database refused the data: {0}")]
    Refused(String),
    /// Disk or memory is full; nothing was written.
    #[error("the database is full: {0}")]
    Full(String),
    /// Others were in the way (a lock, a deadlock, the time limit of a statement): nothing was written;
    /// trying again at once may help.
    #[error("the database is busy: {0}")]
    Busy(String),
}

/// Of waiting for a connection: nothing was sent.
const NO_CONNECTION: &str = "no connection was free, and none could be made in time";

impl From<DbErr> for StoreError {
    /// Of a statement before its transaction's commit: nothing is written in any case.
    fn from(error: DbErr) -> StoreError {
        let text = error.to_string();
        match sqlx_error(&error) {
            Some(cause) => of_sqlx(cause, text),
            None => match error {
                DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. } => {
                    StoreError::Refused(text)
                }
                DbErr::ConnectionAcquire(_) => StoreError::Unavailable(NO_CONNECTION.to_owned()),
                _ => StoreError::Unavailable(text),
            },
        }
    }
}

impl From<sqlx::Error> for StoreError {
    /// Of a connection or a statement before its transaction's commit.
    fn from(error: sqlx::Error) -> StoreError {
        let text = error.to_string();
        of_sqlx(&error, text)
    }
}

impl StoreError {
    /// Of a commit on Postgres: if the connection was lost meanwhile, nobody knows.
    pub(crate) fn of_commit(error: DbErr) -> StoreError {
        match sqlx_error(&error) {
            Some(cause) if StoreError::is_lost(cause) => StoreError::Unknown(error.to_string()),
            _ => StoreError::from(error),
        }
    }

    /// Of a statement that is its own transaction: if the connection was lost meanwhile, nobody knows.
    pub(crate) fn of_statement(error: sqlx::Error) -> StoreError {
        match StoreError::is_lost(&error) {
            true => StoreError::Unknown(error.to_string()),
            false => StoreError::from(error),
        }
    }

    /// What an error of a statement means if that statement was its own transaction.
    pub(crate) fn of_autocommit(self) -> StoreError {
        match self {
            StoreError::Unavailable(why) if why != NO_CONNECTION => StoreError::Unknown(why),
            other => other,
        }
    }

    /// Whether the error says that the connection is gone, and with it the answer.
    pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
        match error {
            sqlx::Error::Database(database) => database
                .code()
                .is_some_and(|code| code.starts_with("57P") || code.starts_with("08")),
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
            _ => false,
        }
    }
}

/// Whether a transaction could not begin because its connection is gone.
pub(crate) fn lost_before_commit(error: &DbErr) -> bool {
    sqlx_error(error).is_some_and(StoreError::is_lost)
}

/// Whether the disk failed under SQLite. What an fsync was to make durable may be gone although a
/// second fsync would succeed, so nothing but a new start of the process can be trusted.
pub(crate) fn is_disk_failure(error: &DbErr) -> bool {
    const IOERR: i32 = 10;
    // No room for another page of the shared index: the disk is full, not broken.
    const IOERR_SHMSIZE: i32 = IOERR | (19 << 8);
    sqlite_code(error).is_some_and(|code| code & 0xff == IOERR && code != IOERR_SHMSIZE)
}

fn sqlite_code(error: &DbErr) -> Option<i32> {
    match sqlx_error(error) {
        Some(sqlx::Error::Database(database)) => database.code()?.parse().ok(),
        _ => None,
    }
}

fn sqlx_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

fn of_sqlx(error: &sqlx::Error, text: String) -> StoreError {
    match error {
        sqlx::Error::Database(database) => match database.code() {
            Some(code) => of_code(&code, text),
            None => StoreError::Unavailable(text),
        },
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
            StoreError::Unavailable(NO_CONNECTION.to_owned())
        }
        sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => {
            StoreError::Refused(text)
        }
        _ => StoreError::Unavailable(text),
    }
}

/// By SQLSTATE (five characters) or by SQLite's extended result code (a number).
fn of_code(code: &str, text: String) -> StoreError {
    match code.parse::<i32>() {
        Ok(number) if code.len() < 5 => of_sqlite(number, text),
        _ => of_sqlstate(code, text),
    }
}

fn of_sqlstate(code: &str, text: String) -> StoreError {
    match code {
        "53100" | "53200" => StoreError::Full(text),
        "40001" | "40P01" | "55P03" | "57014" => StoreError::Busy(text),
        _ if code.starts_with("22") || code.starts_with("23") || code.starts_with("54") => {
            StoreError::Refused(text)
        }
        _ => StoreError::Unavailable(text),
    }
}

fn of_sqlite(code: i32, text: String) -> StoreError {
    const NOMEM: i32 = 7;
    const FULL: i32 = 13;
    const TOOBIG: i32 = 18;
    const CONSTRAINT: i32 = 19;
    const MISMATCH: i32 = 20;
    match code & 0xff {
        NOMEM | FULL => StoreError::Full(text),
        TOOBIG | CONSTRAINT | MISMATCH => StoreError::Refused(text),
        _ => StoreError::Unavailable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str) -> StoreError {
        of_code(code, code.to_owned())
    }

    #[test]
    fn codes_say_what_can_be_done() {
        for full in ["53100", "53200", "13", "7"] {
            assert_eq!(of(full), StoreError::Full(full.into()));
        }
        for busy in ["40001", "40P01", "55P03", "57014"] {
            assert_eq!(of(busy), StoreError::Busy(busy.into()));
        }
        for refused in ["22021", "23505", "54000", "1555", "18"] {
            assert_eq!(of(refused), StoreError::Refused(refused.into()));
        }
        for away in ["57P01", "08006", "53300", "5"] {
            assert_eq!(of(away), StoreError::Unavailable(away.into()));
        }
    }

    #[test]
    fn a_lost_connection_leaves_unknown_what_was_its_own_transaction() {
        let lost = || sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(matches!(
            StoreError::from(lost()),
            StoreError::Unavailable(_)
        ));
        assert!(matches!(
            StoreError::of_statement(lost()),
            StoreError::Unknown(_)
        ));
        assert!(matches!(
            StoreError::from(lost()).of_autocommit(),
            StoreError::Unknown(_)
        ));
        // Nothing was sent.
        let waited = || StoreError::from(sqlx::Error::PoolTimedOut);
        assert_eq!(waited(), StoreError::Unavailable(NO_CONNECTION.into()));
        assert_eq!(waited().of_autocommit(), waited());
    }
}
