//! The database's disk is full for half a minute: writes are turned away, reads go on, nothing acknowledged is lost.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::Method;

use crate::check::{Expect, check, settle};
use crate::client::Call;
use crate::keep::Fleet;
use crate::lab::Lab;
use crate::load::runs_of;
use crate::report::Outcome;
use crate::servers::{Server, Servers};
use crate::site::{Site, Through};
use crate::stage::Stage;

use super::shapes::sleeps;

/// A disk of its own, as small as Postgres bears.
#[derive(Debug)]
struct Disk(PathBuf);

impl Disk {
    fn mount(dir: &Path) -> anyhow::Result<Disk> {
        std::fs::create_dir_all(dir)?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=160m,mode=0711", "tmpfs"])
            .arg(dir)
            .status()
            .context("cannot run mount")?;
        ensure!(
            mounted.success(),
            "cannot mount a small disk; this row needs root"
        );
        Ok(Disk(dir.to_owned()))
    }

    fn fill(&self) {
        // Until nothing more goes in; an error is what is wanted.
        let _ = Command::new("dd")
            .args(["if=/dev/zero", "bs=64k", "status=none"])
            .arg(format!("of={}", self.0.join("filler").display()))
            .stderr(std::process::Stdio::null())
            .status();
    }

    fn free(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.0.join("filler"))?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let disk = Disk::mount(&lab.dir.join(format!("disk-{}", lab.next_site())))?;
    let servers = Servers::start(&lab.repository, &disk.0, Some(Server::Postgres)).await?;
    let site = Site::on(lab, &servers.postgres).await?;
    let mut stage = Stage::on(site, sleeps(&[0.2, 0.2, 0.1]), Through::default()).await?;
    stage.site.set("NEENA_WORKER_CONCURRENCY", 16);
    let mut fleet = Fleet::start(&stage.site, 2, Through::default()).await?;
    let runs = stage.client.runs(&stage.flow, lab.count(500)).await?;
    outcome.offered = runs.len();
    let full = Duration::from_secs(30);
    let (approved, seen) = tokio::join!(
        stage
            .client
            .approve_over(&runs, full + Duration::from_secs(10)),
        async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            disk.fill();
            let mut seen = Vec::new();
            for _ in 0..28 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                // The write-ahead log grows by what is tried until nothing is left.
                disk.fill();
                let write = stage.client.run_once(&stage.flow).await;
                let read = stage
                    .client
                    .call(Method::GET, "/flow_runs/all?limit=1", None, None)
                    .await;
                seen.push((word(&write), word(&read)));
            }
            disk.free()?;
            // Postgres ends when it cannot write its log; whoever runs it starts it again.
            tokio::time::sleep(Duration::from_secs(1)).await;
            servers.up(Server::Postgres).await?;
            anyhow::Ok(seen)
        }
    );
    let seen = seen?;
    let accepted = runs_of(&approved);
    outcome.acknowledged = accepted.len();
    let count = |word: &str, of: fn(&(String, String)) -> &String| {
        seen.iter().filter(|one| of(one) == word).count()
    };
    let refused = count("503", |one| &one.0);
    let reads = count("done", |one| &one.1);
    let odd: Vec<&(String, String)> = seen
        .iter()
        .filter(|(write, _)| !["503", "done"].contains(&write.as_str()))
        .collect();
    outcome.figure(format!(
        "of {} writes while it was full {refused} got a 503; {reads} reads were answered; others {odd:?}",
        seen.len()
    ));
    outcome.means(refused > 0, "the disk was never full");
    outcome.must(
        odd.is_empty(),
        "a write was answered neither by 2xx nor by 503",
    );
    let recovery = settle(&stage.site.pool, &accepted, lab.patience(90)).await?;
    outcome.recovery_seconds = Some(recovery.as_secs_f64());
    let expect = Expect {
        condemned: 1,
        ..Expect::completed(&accepted, &stage.shape)
    };
    check(&stage.site, expect, &mut outcome).await?;
    fleet.stop().await?;
    stage.site.close().await;
    drop(servers);
    Ok(outcome)
}

fn word(call: &Call) -> String {
    match call {
        Call::Done(_) => "done".to_owned(),
        Call::Refused(status, _) => status.to_string(),
        Call::Unknown(error) => error.clone(),
    }
}
