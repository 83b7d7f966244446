//! From one state of a run to the next.

use neena_engine::ids::RunId;
use neena_engine::run::{ApprovalStatus, LiveRun, Phase, RunStatus, TaskRow, TaskStatus, VoteKind};
use neena_store::Message;

use super::gates::answers;
use super::{Broken, By, Checker, Seen};

impl Checker {
    /// Run `run` may have been changed by a commit that sent `messages`.
    pub fn changed(&mut self, run: RunId, by: By, messages: &[Message]) -> Broken {
        let (Some(before), Some(after)) = (self.seen.get(&run).cloned(), self.look(run)) else {
            return Ok(());
        };
        self.judge(run, &before, &after, by, messages)
            .map_err(|broken| format!("run {run}: {broken} (by {by:?})"))?;
        self.remember(run, &before, &after, by);
        self.seen.insert(run, after);
        Ok(())
    }

    fn judge(
        &mut self,
        run: RunId,
        before: &Seen,
        after: &Seen,
        by: By,
        messages: &[Message],
    ) -> Broken {
        if let By::Owner(claim) = by
            && before.live.as_ref().and_then(|live| live.claim) != Some(claim)
            && before != after
        {
            return Err(format!("a write under the old claim {claim} landed"));
        }
        self.fits_together(run, after)?;
        if matches!(by, By::Crash) {
            return Ok(());
        }
        outcomes_stay(before, after, by)?;
        if matches!(by, By::Owner(_)) {
            self.built_on_records(run, before, after)?;
        }
        self.gates(run, before, after, by)?;
        self.results_fit(run, before, after)?;
        claims(before.live.as_ref(), after.live.as_ref(), by)?;
        let ended = after.live.is_none() && before.live.is_some();
        let ready = |seen: &Seen| {
            let live = seen.live.as_ref();
            live.is_some_and(|live| live.phase == Phase::Ready)
        };
        let made_ready = ready(after) && !ready(before);
        let told = match by {
            By::Owner(_) => ended,
            By::Decision | By::Retry => ended || made_ready,
            By::Claim(_) | By::Keeper | By::Leaver | By::Crash => false,
        };
        if told && messages.iter().all(|message| message.run != run) {
            return Err("nobody is told of it".to_owned());
        }
        Ok(())
    }

    /// What an owner writes of a task that began stands beside its inputs' outcomes: they were written before it or
    /// with it, and again where they were lost.
    fn built_on_records(&self, run: RunId, before: &Seen, after: &Seen) -> Broken {
        let Some(flow) = self.flows.get(&run) else {
            return Ok(());
        };
        let outcome = |input: &u32| {
            let row = after.tasks.get(input);
            row.is_some_and(|row| row.status.is_outcome())
        };
        for (index, row) in &after.tasks {
            let began = row.attempt > row.attempts_before;
            if !began || before.tasks.get(index) == Some(row) {
                continue;
            }
            let mut inputs = flow.steps[*index as usize].inputs.iter();
            if let Some(input) = inputs.find(|input| !outcome(input)) {
                return Err(format!(
                    "task {index} is recorded without its input {input}"
                ));
            }
        }
        Ok(())
    }

    /// What completed is made of its recorded inputs.
    fn results_fit(&self, run: RunId, before: &Seen, after: &Seen) -> Broken {
        let Some(flow) = self.flows.get(&run) else {
            return Ok(());
        };
        let answers = answers(&after.asks);
        let completed = |row: &TaskRow| row.status == TaskStatus::Completed;
        for (index, row) in &after.tasks {
            let new = completed(row) && !before.tasks.get(index).is_some_and(completed);
            if new {
                flow.check(row, &after.tasks, &answers)?;
            }
        }
        Ok(())
    }

    /// The rows of a run say the same.
    fn fits_together(&self, run: RunId, seen: &Seen) -> Broken {
        let status = seen.run.run.status;
        let Some(live) = &seen.live else {
            return match (status.is_final(), &seen.result) {
                (true, Some(_)) => Ok(()),
                (true, None) => Err("it ended without a result".to_owned()),
                (false, _) => Err(format!("it is {status} and has no live row")),
            };
        };
        let expected = match live.phase {
            Phase::Waiting => RunStatus::Pending,
            Phase::Closing => RunStatus::Cancelled,
            _ => RunStatus::InProgress,
        };
        if status != expected {
            return Err(format!("it is {status} in phase {}", live.phase));
        }
        if live.owner.is_some() != live.claim.is_some() {
            return Err(format!("owner {:?}, claim {:?}", live.owner, live.claim));
        }
        let owned = match live.phase {
            Phase::Running => Some(true),
            Phase::Closing => None,
            _ => Some(false),
        };
        if owned.is_some_and(|owned| owned != live.owner.is_some()) {
            return Err(format!("phase {}, owner {:?}", live.phase, live.owner));
        }
        let approved = live.approved_hash == Some(live.plan_hash)
            && seen.run.run.approval_status == Some(ApprovalStatus::Approved);
        if (live.phase == Phase::Waiting) == approved {
            return Err(format!("phase {}, approved: {approved}", live.phase));
        }
        let votes = self.store.votes(run);
        let votes = votes.iter().filter(|vote| vote.kind == VoteKind::Approve);
        let quorum = self.flows.get(&run).map_or(1, |flow| flow.quorum) as usize;
        if live.phase == Phase::Waiting && votes.count() >= quorum {
            return Err("it has all votes it needs, and waits".to_owned());
        }
        Ok(())
    }

    fn remember(&mut self, run: RunId, before: &Seen, after: &Seen, by: By) {
        for (index, row) in &after.tasks {
            let had = before.tasks.get(index);
            let is_outcome = row.status.is_outcome();
            if !is_outcome {
                self.durable.remove(&(run, *index));
            } else if had.is_none_or(|had| !had.status.is_outcome()) {
                self.lazy.push((run, *index));
                // Nor does the claim count any more that made progress.
                self.counting.remove(&run);
            }
        }
        let closing = |seen: &Seen| seen.run.run.status == RunStatus::Cancelled;
        if closing(after) && !closing(before) {
            self.cancelled.insert(run, self.commits);
        }
        self.remember_claims(run, before.live.as_ref(), after.live.as_ref(), by);
        if let (Some(was), Some(is)) = (&before.live, &after.live)
            && was.owner.is_some()
            && is.owner.is_none()
        {
            // Who gives a run back may say so at once.
            let told = (Message::RESUMED.to_owned(), run, is.epoch);
            self.told.insert(told);
        }
        if matches!(by, By::Retry) && after.run.run.round > before.run.run.round {
            self.cancelled.remove(&run);
            self.counting.remove(&run);
        }
    }

    fn remember_claims(
        &mut self,
        run: RunId,
        before: Option<&LiveRun>,
        after: Option<&LiveRun>,
        by: By,
    ) {
        let had = before.and_then(|live| live.claim);
        let has = after.and_then(|live| live.claim);
        if had != has
            && let Some(hold) = had.and_then(|claim| self.holds.get_mut(&(run, claim)))
        {
            hold.1 = Some(self.commits);
        }
        let counting = self.counting.entry(run).or_default();
        match by {
            By::Claim(claim) if has == Some(claim) && had != has => {
                self.holds.insert((run, claim), (self.commits, None));
                counting.push((claim, false));
            }
            // Given back in good order.
            By::Owner(_) | By::Leaver if had.is_some() && has.is_none() => counting.clear(),
            // Claims that are not in the table any more do not count.
            By::Crash => {
                let claims = after.map_or(0, |live| live.claims);
                counting.truncate(usize::try_from(claims).unwrap_or(0));
            }
            _ => {}
        }
    }
}

/// An outcome is written once per round, and a final state stays, but for a retry.
fn outcomes_stay(before: &Seen, after: &Seen, by: By) -> Broken {
    let (was, is) = (&before.run.run, &after.run.run);
    let new_round = is.round != was.round;
    if new_round && (!matches!(by, By::Retry) || is.round != was.round + 1) {
        return Err(format!("round {} became {}", was.round, is.round));
    }
    if was.status.is_final() && !new_round && is.status != was.status {
        return Err(format!("it was {} and became {}", was.status, is.status));
    }
    if before.result.is_some() && !new_round && after.result != before.result {
        return Err("its result was changed".to_owned());
    }
    for (index, row) in &before.tasks {
        let stays = match new_round {
            true => row.status == TaskStatus::Completed,
            false => row.status.is_outcome(),
        };
        let now = after.tasks.get(index);
        if stays && now != Some(row) {
            return Err(format!(
                "the outcome of task {index} was changed: {row:?} → {now:?}"
            ));
        }
        if new_round && !stays && now.is_some_and(|now| now.status.is_outcome()) {
            return Err(format!("round {} began with task {index} ended", is.round));
        }
    }
    Ok(())
}

/// A claim is written by claiming only, where there is none, and raises the epoch by one.
fn claims(before: Option<&LiveRun>, after: Option<&LiveRun>, by: By) -> Broken {
    let (Some(before), Some(after)) = (before, after) else {
        return Ok(());
    };
    let claimed = after.claim.is_some() && after.claim != before.claim;
    if claimed && before.claim.is_some() {
        return Err("it was claimed although it had an owner".to_owned());
    }
    if claimed && !matches!(by, By::Claim(_)) {
        return Err("it has a claim that nobody made".to_owned());
    }
    let raised = after.epoch - before.epoch;
    if raised != i64::from(claimed) {
        return Err(format!("epoch {} became {}", before.epoch, after.epoch));
    }
    Ok(())
}
