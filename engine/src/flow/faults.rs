//! Faults as they are found: all are counted, the first hundred are told.

use crate::Fault;

/// How many faults are told one by one.
const TOLD: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct Faults {
    told: Vec<Fault>,
    more: usize,
}

impl Faults {
    /// Notes a fault; it is put into words only if it is told.
    pub(crate) fn add(&mut self, fault: impl FnOnce() -> Fault) {
        if self.told.len() < TOLD {
            self.told.push(fault());
        } else {
            self.more += 1;
        }
    }

    /// The faults found, if any.
    pub(crate) fn finish(mut self) -> Result<(), Vec<Fault>> {
        if self.told.is_empty() {
            return Ok(());
        }
        if self.more > 0 {
            let msg = format!("and {} more", self.more);
            self.told.push(Fault::new(Vec::new(), "more_faults", msg));
        }
        Err(self.told)
    }
}
