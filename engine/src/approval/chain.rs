//! The chain of an organization's decisions: each entry is numbered and carries the hash of the one before, so
//! that nobody can edit, remove or move one without every later hash telling. Pure: who seals and who verifies
//! goes by the same function.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Hash;
use crate::plan::canonical;

/// What an entry says. Its members, with `seq` and `prev`, are what is hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub id: Uuid,
    pub organization: Uuid,
    pub run: Option<Uuid>,
    /// The operation of the gate; none: the whole run, or no run.
    pub idx: Option<i64>,
    /// The item of that operation; -1: none.
    pub item: Option<i64>,
    /// The key of the gate.
    pub gate: Option<String>,
    pub what: String,
    /// The user; none where time decided.
    pub actor: Option<Uuid>,
    pub actor_email: Option<String>,
    pub stands_in_for: Option<String>,
    pub way: String,
    pub plan_hash: Option<String>,
    pub stage: Option<String>,
    pub comment: Option<String>,
    pub result: String,
    /// Microseconds since the Unix epoch.
    pub at: i64,
}

/// An entry's place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// From 1, without gaps.
    pub seq: i64,
    /// Hash of the entry before; of the first one: zeros.
    pub prev: Hash,
    pub hash: Hash,
}

/// An entry as it is exported, one a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    #[serde(flatten)]
    pub entry: Entry,
    /// None: written, and not sealed yet.
    #[serde(flatten)]
    pub seal: Option<Seal>,
}

/// Where a chain stands: the number and hash of its newest entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub seq: i64,
    pub hash: Hash,
}

impl Head {
    /// Of a chain without entries.
    pub const START: Head = Head {
        seq: 0,
        hash: Hash([0; 32]),
    };

    /// The seal of the next entry.
    pub fn seal(self, entry: &Entry) -> Seal {
        let seq = self.seq + 1;
        Seal {
            seq,
            prev: self.hash,
            hash: hash(entry, seq, self.hash),
        }
    }
}

impl Seal {
    /// Where the chain stands with this entry.
    pub fn head(&self) -> Head {
        Head {
            seq: self.seq,
            hash: self.hash,
        }
    }
}

/// The hash of an entry in its place: SHA-256 of the canonical JSON of its members, `seq` and `prev`.
pub fn hash(entry: &Entry, seq: i64, prev: Hash) -> Hash {
    #[derive(Serialize)]
    struct Hashed<'a> {
        prev: Hash,
        seq: i64,
        #[serde(flatten)]
        entry: &'a Entry,
    }
    let value = serde_json::to_value(Hashed { prev, seq, entry })
        .expect("texts, numbers and nulls make a JSON value");
    let text = canonical(&value).expect("an entry is one level deep");
    Hash::of(text.as_bytes())
}

/// A chain that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Entries whose hashes were recomputed.
    pub sealed: u64,
    /// Where the chain stands: whoever kept an earlier head finds it among the entries, or history was rewritten.
    pub head: Head,
    /// Entries after them that carry no seal yet.
    pub unsealed: u64,
}

/// Where a chain does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("entry {0} does not have its hash: it was edited")]
    Edited(i64),
    #[error("entry {0} is missing: it was removed")]
    Removed(i64),
    #[error("entry {0} stands in another place: entries were reordered")]
    Reordered(i64),
    #[error("entry {0} does not follow the one before: what came before was replaced")]
    Unlinked(i64),
    #[error("entry {0} stands behind one that is not sealed")]
    Unsealed(i64),
    #[error("entry {0} is another organization's")]
    Foreign(i64),
    #[error("the chain does not end in the hash it is said to end in")]
    OtherHead,
}

/// Verifies a chain line by line.
#[derive(Clone, Debug)]
pub struct Verifier {
    head: Head,
    organization: Option<Uuid>,
    sealed: u64,
    unsealed: u64,
}

impl Default for Verifier {
    fn default() -> Verifier {
        Verifier::after(Head::START)
    }
}

impl Verifier {
    /// Of the entries after `head`, which is known to be good.
    pub fn after(head: Head) -> Verifier {
        Verifier {
            head,
            organization: None,
            sealed: 0,
            unsealed: 0,
        }
    }

    /// The next line.
    pub fn take(&mut self, line: &Line) -> Result<(), Broken> {
        let Some(seal) = &line.seal else {
            self.unsealed += 1;
            return Ok(());
        };
        let seq = seal.seq;
        if hash(&line.entry, seq, seal.prev) != seal.hash {
            return Err(Broken::Edited(seq));
        }
        let organization = *self.organization.get_or_insert(line.entry.organization);
        if organization != line.entry.organization {
            return Err(Broken::Foreign(seq));
        }
        if self.unsealed > 0 {
            return Err(Broken::Unsealed(seq));
        }
        if seq <= self.head.seq {
            return Err(Broken::Reordered(seq));
        }
        if seq > self.head.seq + 1 {
            return Err(Broken::Removed(self.head.seq + 1));
        }
        if seal.prev != self.head.hash {
            return Err(Broken::Unlinked(seq));
        }
        self.head = seal.head();
        self.sealed += 1;
        Ok(())
    }

    /// After the last line. `said`: where the chain is said to stand, without which entries missing at the end
    /// cannot be noticed.
    pub fn end(self, said: Option<Head>) -> Result<Verified, Broken> {
        match said {
            Some(said) if said.seq > self.head.seq => {
                return Err(Broken::Removed(self.head.seq + 1));
            }
            Some(said) if said != self.head => return Err(Broken::OtherHead),
            _ => {}
        }
        Ok(Verified {
            sealed: self.sealed,
            head: self.head,
            unsealed: self.unsealed,
        })
    }
}

/// Verifies a whole chain. An entry that is not in its place is told from one that is nowhere.
pub fn verify(lines: &[Line], said: Option<Head>) -> Result<Verified, Broken> {
    let mut verifier = Verifier::default();
    for (at, line) in lines.iter().enumerate() {
        if let Err(broken) = verifier.take(line) {
            let later: BTreeSet<i64> = lines[at..]
                .iter()
                .filter_map(|line| Some(line.seal.as_ref()?.seq))
                .collect();
            return Err(match broken {
                Broken::Removed(seq) if later.contains(&seq) => Broken::Reordered(seq),
                broken => broken,
            });
        }
    }
    verifier.end(said)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
