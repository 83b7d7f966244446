//! `neena approve` and `neena reject`

use std::io::{IsTerminal, Write};

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use super::decide::{after, show};
use super::{Done, print, print_json};
use crate::client::Client;
use crate::config::{Approve, Reject, Saying};
use crate::plan_view::{Gate, PlanView};
use crate::table;

/// Shows the plan, and what changed, asks, and approves exactly that plan or a gate of it.
pub async fn approve(options: Approve, json: bool) -> anyhow::Result<Done> {
    let client = Client::new(&options.saying.server)?;
    let plan = PlanView::load(&client, &options.saying.run.to_string()).await?;
    let gate = gate(&plan, &options.saying)?;
    let answer = options.answer.as_deref().map(given).transpose()?;
    show(&client, &plan).await?;
    if let Some(gate) = &gate {
        eprintln!("{}", gate.lines());
    }
    let what = match &gate {
        Some(gate) => format!("the gate `{}`", table::short(&gate.name, 80)),
        None => "this plan".to_owned(),
    };
    if !options.yes && !agreed(&what)? {
        bail!("not approved");
    }
    let said = said(&plan, &options.saying, gate.as_ref(), answer);
    let answer = client
        .put("flow_runs/approve", &said.query(), Some(&said.body))
        .await?;
    eprintln!("Approved {what} {}", table::short(&plan.plan.plan_hash, 13));
    let (run, steps) = (options.saying.run, plan.steps());
    after(
        &client,
        run,
        options.watch,
        &steps,
        Some(&plan),
        answer,
        json,
    )
    .await
}

/// Rejects a plan or a gate of it.
pub async fn reject(options: Reject, json: bool) -> anyhow::Result<Done> {
    let client = Client::new(&options.saying.server)?;
    let plan = PlanView::load(&client, &options.saying.run.to_string()).await?;
    let gate = gate(&plan, &options.saying)?;
    let said = said(&plan, &options.saying, gate.as_ref(), None);
    let answer = client
        .put("flow_runs/reject", &said.query(), Some(&said.body))
        .await?;
    let (run, steps) = (options.saying.run, plan.steps());
    after(&client, run, options.watch, &steps, None, answer, json).await
}

/// A decision as the API takes it.
struct Said {
    run: String,
    /// `index` of the task whose gate it is about.
    gate: Option<String>,
    body: Value,
}

impl Said {
    fn query(&self) -> Vec<(&str, &str)> {
        let mut query = vec![("flow_run_id", self.run.as_str())];
        query.extend(
            self.gate
                .as_deref()
                .map(|gate| ("task_operation_index", gate)),
        );
        query
    }
}

fn said(plan: &PlanView, saying: &Saying, gate: Option<&Gate>, answer: Option<Value>) -> Said {
    let mut body = Map::new();
    body.insert("plan_hash".to_owned(), json!(plan.plan.plan_hash));
    let texts = [("stage", &saying.stage), ("comment", &saying.comment)];
    for (name, text) in texts {
        body.extend(text.iter().map(|text| (name.to_owned(), json!(text))));
    }
    body.extend(answer.map(|answer| ("answer".to_owned(), answer)));
    Said {
        run: saying.run.to_string(),
        gate: gate.map(|gate| gate.task_operation_index.to_string()),
        body: Value::Object(body),
    }
}

/// The gate that `--gate` means.
fn gate(plan: &PlanView, saying: &Saying) -> anyhow::Result<Option<Gate>> {
    let Some(name) = &saying.gate else {
        return Ok(None);
    };
    let gates = plan.gates();
    let found = gates.iter().find(|gate| gate.is(name)).cloned();
    if found.is_none() {
        let names: Vec<String> = gates
            .iter()
            .map(|gate| format!("`{}`", table::short(&gate.name, 80)))
            .collect();
        match names.as_slice() {
            [] => bail!("the plan of this run has no gates"),
            names => bail!("there is no gate `{name}`; there are {}", names.join(", ")),
        }
    }
    Ok(found)
}

/// What `--answer` gives.
fn given(answer: &str) -> anyhow::Result<Value> {
    let text = match answer.strip_prefix('@') {
        Some(file) => super::text_of(std::path::Path::new(file))?,
        None => answer.to_owned(),
    };
    serde_json::from_str(&text).context("--answer is no JSON")
}

/// Asks the person at the terminal; where there is none, whoever runs the command has agreed by running it.
fn agreed(what: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(true);
    }
    eprint!("Approve {what}? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
}

/// Prints what a decision left, for programs or for people.
pub(super) fn told(answer: &Value, line: &str, json: bool) -> anyhow::Result<()> {
    if json {
        print_json(answer)
    } else {
        print(line)
    }
}
