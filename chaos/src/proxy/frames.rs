//! Where replies begin and end, and which of them are worth eating.

use std::collections::HashMap;

use super::Eat;

/// What is to be done with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Nothing special.
    Other,
    /// Postgres has committed: a transaction, or a write that stands by itself.
    Commit,
    /// The broker has what was published.
    Confirm,
}

/// Cuts a stream of replies into whole ones.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// Whether a transaction of Postgres is open.
    open: bool,
}

impl Frames {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole reply, read as what `eat` is about; `writes` says whether the statement it answers
    /// does. Where nothing is eaten all bytes are one.
    pub(super) fn next(&mut self, eat: Eat, writes: bool) -> Option<(Vec<u8>, Reply)> {
        if self.bytes.is_empty() {
            return None;
        }
        let (length, reply) = match eat {
            Eat::Nothing => (self.bytes.len(), Reply::Other),
            Eat::Commits(_) => self.postgres(writes)?,
            Eat::Confirms(_) => self.amqp()?,
        };
        Some((self.bytes.drain(..length).collect(), reply))
    }

    /// A type, a length that counts itself, and as much.
    fn postgres(&mut self, writes: bool) -> Option<(usize, Reply)> {
        let length = 1 + number(self.bytes.get(1..5)?);
        let body = self.bytes.get(5..length)?;
        let reply = match self.bytes[0] {
            b'C' if body.starts_with(b"COMMIT") => Reply::Commit,
            b'C' if writes && !self.open && !body.starts_with(b"BEGIN") => Reply::Commit,
            b'Z' => {
                self.open = body != b"I";
                Reply::Other
            }
            _ => Reply::Other,
        };
        Some((length, reply))
    }

    /// A type, a channel, a length, as much, and an end.
    fn amqp(&self) -> Option<(usize, Reply)> {
        let length = 8 + number(self.bytes.get(3..7)?);
        let frame = self.bytes.get(..length)?;
        let confirm = frame[0] == 1 && frame[7..].starts_with(&[0, 60, 0, 80]);
        Some((
            length,
            if confirm {
                Reply::Confirm
            } else {
                Reply::Other
            },
        ))
    }
}

/// What a client of Postgres asks, as far as it says whether it writes.
#[derive(Debug, Default)]
pub(super) struct Asked {
    bytes: Vec<u8>,
    greeted: bool,
    /// Prepared statements by name.
    statements: HashMap<Vec<u8>, bool>,
    /// Whether the statement under way writes.
    pub(super) writes: bool,
}

impl Asked {
    /// Reads on.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        while self.one().is_some() {}
    }

    fn one(&mut self) -> Option<()> {
        // The first message has no type.
        let head = usize::from(self.greeted);
        let length = head + number(self.bytes.get(head..head + 4)?);
        let message: Vec<u8> = self.bytes.get(..length)?.to_vec();
        self.bytes.drain(..length);
        if !self.greeted {
            self.greeted = true;
            return Some(());
        }
        let mut words = message[5..].split(|byte| *byte == 0);
        match message[0] {
            b'P' => {
                let name = words.next()?.to_vec();
                let writes = writes(words.next()?);
                self.writes = writes;
                self.statements.insert(name, writes);
            }
            b'B' => {
                let name = words.nth(1)?;
                self.writes = self.statements.get(name).copied().unwrap_or(false);
            }
            b'Q' => self.writes = writes(words.next()?),
            _ => {}
        }
        Some(())
    }
}

fn writes(statement: &[u8]) -> bool {
    let start: Vec<u8> = statement
        .iter()
        .take(6)
        .map(u8::to_ascii_uppercase)
        .collect();
    ["INSERT", "UPDATE", "DELETE"]
        .iter()
        .any(|word| start == word.as_bytes())
        || start.starts_with(b"WITH")
}

fn number(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | usize::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_found_among_other_answers_of_postgres() {
        let mut frames = Frames::default();
        frames.push(b"Z\0\0\0\x05IC\0\0\0\x0bCOM");
        let all = Eat::Commits(100);
        assert_eq!(
            frames.next(all, false),
            Some((b"Z\0\0\0\x05I".to_vec(), Reply::Other))
        );
        assert_eq!(frames.next(all, false), None);
        frames.push(b"MIT\0Z");
        assert_eq!(
            frames.next(all, false),
            Some((b"C\0\0\0\x0bCOMMIT\0".to_vec(), Reply::Commit))
        );
        assert_eq!(frames.next(all, false), None);
    }

    #[test]
    fn a_write_commits_by_itself_unless_a_transaction_is_open() {
        let mut asked = Asked::default();
        asked.push(b"\0\0\0\x08\0\x03\0\0");
        asked.push(b"P\0\0\0\x15s1\0WITH a INSERT\0B\0\0\0\x09\0s1\0\0");
        assert!(asked.writes);
        let all = Eat::Commits(100);
        let done = b"C\0\0\0\x0dSELECT 1\0";
        let mut frames = Frames::default();
        frames.push(b"Z\0\0\0\x05T");
        frames.push(done);
        frames.push(b"Z\0\0\0\x05I");
        frames.push(done);
        let replies: Vec<Reply> = std::iter::from_fn(|| frames.next(all, asked.writes))
            .map(|(_, reply)| reply)
            .collect();
        assert_eq!(
            replies,
            [Reply::Other, Reply::Other, Reply::Other, Reply::Commit]
        );
    }

    #[test]
    fn a_confirm_is_found_among_other_frames_of_the_broker() {
        let mut frames = Frames::default();
        let ack = [
            1, 0, 1, 0, 0, 0, 13, 0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 1, 0, 206,
        ];
        let heartbeat = [8, 0, 0, 0, 0, 0, 0, 206];
        frames.push(&heartbeat);
        frames.push(&ack);
        let all = Eat::Confirms(100);
        assert_eq!(
            frames.next(all, false),
            Some((heartbeat.to_vec(), Reply::Other))
        );
        assert_eq!(
            frames.next(all, false),
            Some((ack.to_vec(), Reply::Confirm))
        );
    }
}
