//! What a caller may do. No permission implies another.

use std::fmt;
use std::str::FromStr;

/// One permission, as a route names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    Read,
    Write,
    Approve,
    Admin,
}

/// A word that is no permission.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no permission; there are read, write, approve and admin")]
pub struct UnknownPermission(String);

impl Permission {
    /// Every permission there is.
    pub const ALL: [Permission; 4] = [
        Permission::Read,
        Permission::Write,
        Permission::Approve,
        Permission::Admin,
    ];

    /// The word for it in tokens.
    pub const fn as_str(self) -> &'static str {
        match self {
            Permission::Read => "read",
            Permission::Write => "write",
            Permission::Approve => "approve",
            Permission::Admin => "admin",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Permission {
    type Err = UnknownPermission;

    fn from_str(word: &str) -> Result<Permission, UnknownPermission> {
        Permission::ALL
            .into_iter()
            .find(|permission| permission.as_str() == word)
            .ok_or_else(|| UnknownPermission(word.to_owned()))
    }
}

/// The permissions of a token, as its claim lists them. Words we do not know grant nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions(Vec<String>);

impl Permissions {
    /// From the claim; without one `read` and `write`.
    pub fn from_claim(claim: Option<Vec<String>>) -> Permissions {
        Permissions(claim.unwrap_or_else(|| vec!["read".to_owned(), "write".to_owned()]))
    }

    /// Whether `permission` is among them.
    pub fn grant(&self, permission: Permission) -> bool {
        self.0.iter().any(|word| word == permission.as_str())
    }

    /// The words, as the token has them.
    pub fn words(&self) -> &[String] {
        &self.0
    }
}
