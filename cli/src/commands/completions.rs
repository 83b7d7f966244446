//! `neena completions`

use clap::CommandFactory;

use super::{Done, print};
use crate::config::{Cli, Completions};

/// Prints the script.
pub fn run(options: &Completions) -> anyhow::Result<Done> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "neena", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Done::Well)
}
