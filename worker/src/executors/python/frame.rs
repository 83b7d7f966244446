//! Frames between us and a host: a length (u32, big-endian), a JSON header, a newline, a raw body.
//! The length counts all that follows it. `sdk/python/neena/frames.py` is the other side.

use std::io;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Arguments and results are at most this many bytes of JSON.
pub(super) const MAX_BODY: usize = 1 << 20;

/// A frame is at most this long: a body, and a header with a message and a traceback.
const MAX_FRAME: usize = MAX_BODY + (64 << 10);

/// What we say.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Request<'a> {
    Load {
        path: &'a str,
        short_name: &'a str,
        code_digest: &'a str,
    },
    Call {
        call: u64,
        method: &'a str,
        run: String,
        index: u32,
        item: Option<u32>,
        attempt: u32,
    },
}

/// What a host says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Reply {
    Hello {
        protocol: u32,
        python: String,
    },
    Loaded {
        code_digest: String,
        tasks: Vec<String>,
    },
    Ok {
        call: u64,
    },
    Error(Failure),
}

/// A load or a call that failed.
#[derive(Debug, Deserialize)]
pub(super) struct Failure {
    pub call: Option<u64>,
    pub kind: String,
    pub message: String,
    pub retryable: bool,
    pub traceback: Option<String>,
}

/// Why no reply could be read. The stream is of no use afterwards.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("the host closed its channel")]
    Closed,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("a frame of {0} bytes")]
    TooLarge(usize),
    #[error("an unreadable frame: {0}")]
    Garbled(String),
}

/// The bytes of a frame.
pub(super) fn encode(request: &Request<'_>, body: &str) -> Result<Vec<u8>, FrameError> {
    let mut frame = Vec::with_capacity(256 + body.len());
    frame.extend_from_slice(&[0; 4]);
    serde_json::to_writer(&mut frame, request).map_err(|e| FrameError::Garbled(e.to_string()))?;
    frame.push(b'\n');
    frame.extend_from_slice(body.as_bytes());
    let length = u32::try_from(frame.len() - 4).map_err(|_| FrameError::TooLarge(frame.len()))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

/// Reads one reply and its body. `buffer` carries what was read beyond it. A frame that is too long
/// is refused as soon as its length is known.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> Result<(Reply, String), FrameError> {
    let length = loop {
        if let Some(length) = length(buffer)? {
            if buffer.len() >= length {
                break length;
            }
            buffer.reserve(length - buffer.len());
        } else {
            buffer.reserve(4096);
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(FrameError::Closed);
        }
    };
    let rest = buffer.split_off(length);
    let frame = std::mem::replace(buffer, rest);
    parse(&frame[4..])
}

/// Length of the frame that `buffer` begins with, its own four bytes included; none while unknown.
fn length(buffer: &[u8]) -> Result<Option<usize>, FrameError> {
    let Some((head, _)) = buffer.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*head) as usize;
    if length > MAX_FRAME {
        Err(FrameError::TooLarge(length))
    } else {
        Ok(Some(4 + length))
    }
}

fn parse(frame: &[u8]) -> Result<(Reply, String), FrameError> {
    let garbled = |why: String| FrameError::Garbled(why);
    let end = frame.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or_else(|| garbled("no header".to_owned()))?;
    let reply = serde_json::from_slice(&frame[..end]).map_err(|e| garbled(e.to_string()))?;
    let body = str::from_utf8(&frame[end + 1..]).map_err(|e| garbled(e.to_string()))?;
    Ok((reply, body.to_owned()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn framed(payload: &[u8]) -> Vec<u8> {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes().to_vec();
        frame.extend_from_slice(payload);
        frame
    }

    #[tokio::test]
    async fn replies_are_read_whole_however_they_arrive() {
        let mut both = framed(b"{\"type\":\"ok\",\"call\":7}\n[1]");
        both.extend(framed(b"{\"type\":\"ok\",\"call\":8}\n"));
        let mut stream = tokio_test_io(&both);
        let mut buffer = Vec::new();
        for (number, text) in [(7, "[1]"), (8, "")] {
            let (reply, body) = read(&mut stream, &mut buffer).await.unwrap();
            assert!(matches!(reply, Reply::Ok { call } if call == number));
            assert_eq!(body, text);
        }
        assert!(matches!(
            read(&mut stream, &mut buffer).await,
            Err(FrameError::Closed)
        ));
    }

    #[tokio::test]
    async fn what_is_not_a_reply_is_an_error_and_a_long_one_is_refused_by_its_length() {
        for payload in [
            &b"no header"[..],
            b"{}\n",
            b"{\"type\":\"ok\",\"call\":1}\n\xff",
            b"\n",
        ] {
            let outcome = read(&mut &framed(payload)[..], &mut Vec::new()).await;
            assert!(
                matches!(outcome, Err(FrameError::Garbled(_))),
                "{payload:?}"
            );
        }
        let mut long = (1_u32 << 30).to_be_bytes().to_vec();
        long.extend([0; 100]);
        let mut buffer = Vec::new();
        let outcome = read(&mut &long[..], &mut buffer).await;
        assert!(matches!(outcome, Err(FrameError::TooLarge(size)) if size == 1 << 30));
        assert!(buffer.capacity() < 1 << 16);
    }

    /// Gives one byte at a time.
    fn tokio_test_io(bytes: &[u8]) -> impl AsyncRead + Unpin {
        let parts: Vec<io::Result<Vec<u8>>> = bytes.iter().map(|byte| Ok(vec![*byte])).collect();
        tokio_util::io::StreamReader::new(futures_util::stream::iter(
            parts.into_iter().map(|part| part.map(io::Cursor::new)),
        ))
    }
}
