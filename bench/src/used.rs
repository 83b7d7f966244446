//! What a process uses, as the kernel says.

use anyhow::Context;

/// The kernel's ticks in a second, as `/proc` counts them on every Linux.
const TICKS: f64 = 100.0;

/// Memory, time and descriptors of a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// In units of 1024 × 1024 bytes.
    pub resident_mb: f64,
    /// Of a core, since its start.
    pub cpu_seconds: f64,
    pub descriptors: usize,
}

impl Used {
    pub fn of(process: u32) -> anyhow::Result<Used> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))
            .context("what a process uses is read from /proc, which is there on Linux only")?;
        let resident: f64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next())
            .context("the kernel does not say how much memory the process uses")?
            .parse()?;
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The name of the program may hold spaces; after it, the twelfth and thirteenth are user and system time.
        let (_, fields) = stat.rsplit_once(')').context("an unknown form of stat")?;
        let mut ticks = 0.0;
        for field in fields.split_whitespace().skip(11).take(2) {
            ticks += field.parse::<f64>()?;
        }
        Ok(Used {
            resident_mb: resident / 1024.0,
            cpu_seconds: ticks / TICKS,
            descriptors: std::fs::read_dir(format!("/proc/{process}/fd"))?.count(),
        })
    }
}
