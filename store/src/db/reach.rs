//! Whether a Postgres server lets us in, asked before anything is built on it.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

/// Why a server does not let us in. Its text names no password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    /// It does not answer, or not yet: trying again may help.
    #[error("{0}")]
    Down(String),
    /// The address, the name or the password is wrong: trying again does not help.
    #[error("{0}")]
    Wrong(String),
}

/// Connects once to the server at `url` (`postgres://…`) and hangs up.
pub async fn reach(url: &str) -> Result<(), Unreached> {
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return Err(Unreached::Wrong(
            "it does not start with postgres://".to_owned(),
        ));
    }
    let options: PgConnectOptions = url.parse().map_err(|error| sorted(&error))?;
    let connection: PgConnection = options.connect().await.map_err(|error| sorted(&error))?;
    // It answered; whether it hears the goodbye does not matter.
    let _ = connection.close().await;
    Ok(())
}

fn sorted(error: &sqlx::Error) -> Unreached {
    match error {
        // Of the authentication, or a database that is not there.
        sqlx::Error::Database(database)
            if database
                .code()
                .is_some_and(|code| code.starts_with("28") || code == "3D000") =>
        {
            Unreached::Wrong(database.message().to_owned())
        }
        sqlx::Error::Database(database) => Unreached::Down(database.message().to_owned()),
        sqlx::Error::Configuration(error) => Unreached::Wrong(error.to_string()),
        sqlx::Error::Io(error) => Unreached::Down(error.to_string()),
        other => Unreached::Down(other.to_string()),
    }
}
