//! What happened, line by line: hashed to compare two runs, or printed to be read.

/// What is kept of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Tracing {
    /// Nothing: the fastest.
    #[default]
    Off,
    /// A hash of all lines.
    Hash,
    /// The lines, too, printed as they come.
    Lines,
}

/// A trace under way.
#[derive(Debug)]
pub(crate) struct Trace {
    tracing: Tracing,
    hash: u64,
}

impl Trace {
    pub(crate) fn new(tracing: Tracing) -> Trace {
        Trace {
            tracing,
            // FNV-1a.
            hash: 0xcbf2_9ce4_8422_2325,
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.tracing != Tracing::Off
    }

    pub(crate) fn add(&mut self, line: &str) {
        for byte in line.bytes().chain([b'\n']) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if self.tracing == Tracing::Lines {
            println!("{line}");
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }
}
