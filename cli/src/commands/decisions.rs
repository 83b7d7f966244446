//! `neena decisions`

use std::fmt::Display;

use anyhow::{Context, bail};
use neena_engine::approval::chain::{self, Head, Line, Verifier};
use serde::Deserialize;
use serde_json::json;

use super::{Done, print, print_json, text_of};
use crate::client::{Client, read};
use crate::config::{DecisionsExport, DecisionsList, FileToCheck};
use crate::table;

/// An entry of the log, as the list shows it.
#[derive(Debug, Deserialize)]
struct Decision {
    flow_run: Option<String>,
    gate: Option<String>,
    what: String,
    actor_email: Option<String>,
    stands_in_for: Option<String>,
    way: String,
    comment: Option<String>,
    result: String,
    time: String,
}

/// Lists decisions, newest first.
pub async fn list(options: DecisionsList, json: bool) -> anyhow::Result<Done> {
    let client = Client::new(&options.list.server)?;
    let (skip, limit) = (
        options.list.skip.to_string(),
        options.list.limit.to_string(),
    );
    let run = options.run.map(|run| run.to_string());
    let mut query = vec![("skip", skip.as_str()), ("limit", limit.as_str())];
    query.extend(run.as_deref().map(|run| ("flow_run_id", run)));
    let answer = client.get("decisions/all", &query).await?;
    if json {
        print_json(&answer)?;
        return Ok(Done::Well);
    }
    let decisions: Vec<Decision> = read(&answer)?;
    let mut table = table::table(&[
        "at",
        "run",
        "gate",
        "who",
        "what",
        "by way of",
        "result",
        "why",
    ]);
    for one in &decisions {
        let who = match (&one.actor_email, &one.stands_in_for) {
            (Some(email), Some(principal)) => format!("{email} for {principal}"),
            (Some(email), None) => email.clone(),
            (None, _) => "–".to_owned(),
        };
        table.add_row([
            table::local(Some(&one.time)),
            one.flow_run.clone().unwrap_or_else(|| "–".to_owned()),
            table::short(one.gate.as_deref().unwrap_or("–"), 24),
            table::short(&who, 60),
            table::short(&one.what, 20),
            table::short(&one.way, 12),
            table::short(&one.result, 60),
            table::short(one.comment.as_deref().unwrap_or(""), 60),
        ]);
    }
    print(&table.trim_fmt())?;
    Ok(Done::Well)
}

/// Prints the whole log as JSON lines, as it arrives.
pub async fn export(options: DecisionsExport) -> anyhow::Result<Done> {
    let client = Client::new(&options.server)?;
    let from = options.from.map(|from| from.to_string());
    let query: Vec<(&str, &str)> = from
        .as_deref()
        .map(|from| ("from_seq", from))
        .into_iter()
        .collect();
    client
        .copy("decisions/export", &query, &mut std::io::stdout().lock())
        .await?;
    Ok(Done::Well)
}

/// Checks an exported log.
pub fn verify(options: &FileToCheck, json: bool) -> anyhow::Result<Done> {
    let file = options.file.display();
    let (lines, said) = parsed(&text_of(&options.file)?, &file)?;
    let first = lines.first().and_then(|line| line.seal.as_ref());
    // An export that begins in the middle is checked from there on.
    let part = first.filter(|seal| seal.seq > 1);
    let verified = match part {
        None => chain::verify(&lines, said),
        Some(seal) => {
            let mut verifier = Verifier::after(Head {
                seq: seal.seq - 1,
                hash: seal.prev,
            });
            lines
                .iter()
                .try_for_each(|line| verifier.take(line))
                .and_then(|()| verifier.end(said))
        }
    };
    let verified = match verified {
        Ok(verified) => verified,
        Err(broken) => bail!("{file}: {broken}"),
    };
    if json {
        print_json(&json!({
            "sealed": verified.sealed,
            "first_seq": first.map(|seal| seal.seq),
            "seq": verified.head.seq,
            "hash": verified.head.hash,
            "unsealed": verified.unsealed,
            "end_known": said.is_some(),
        }))?;
        return Ok(Done::Well);
    }
    print(&format!(
        "{} entries in one chain, the last is number {} ({}); {} not sealed yet",
        verified.sealed, verified.head.seq, verified.head.hash, verified.unsealed
    ))?;
    if part.is_some() {
        eprintln!("what came before the first of them is not in this file");
    }
    if said.is_none() {
        eprintln!("the file does not say where the chain ends: entries may be missing after these");
    }
    Ok(Done::Well)
}

/// The entries of an export, and where its last line says the chain stands.
fn parsed(text: &str, file: &impl Display) -> anyhow::Result<(Vec<Line>, Option<Head>)> {
    #[derive(Deserialize)]
    struct End {
        chain: Head,
    }
    let (mut lines, mut said) = (Vec::new(), None);
    for (number, line) in text.lines().enumerate() {
        if said.is_some() {
            bail!("{file}:{}: something stands behind the end", number + 1);
        }
        match serde_json::from_str::<End>(line) {
            Ok(end) => said = Some(end.chain),
            Err(_) => lines
                .push(serde_json::from_str(line).with_context(|| {
                    format!("{file}:{}: this is no entry of a log", number + 1)
                })?),
        }
    }
    Ok((lines, said))
}
