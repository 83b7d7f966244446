//! Whether the runs of tasks taken from others still go on: asked for many at once.

use std::sync::Arc;

use neena_engine::ids::RunId;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use crate::Shared;

/// Asked for in one go.
const TOGETHER: usize = 64;

/// Questions that wait for the next read. There are never more than tasks taken, so it is bounded.
#[derive(Debug, Default)]
pub(super) struct Standings {
    asked: Mutex<Vec<Question>>,
    some: Notify,
}

type Question = ((RunId, i64), oneshot::Sender<bool>);

impl Standings {
    /// Whether the run goes on under this very epoch; none if the database does not say.
    pub async fn of(&self, run: RunId, epoch: i64) -> Option<bool> {
        let (sender, answer) = oneshot::channel();
        self.asked.lock().push(((run, epoch), sender));
        self.some.notify_one();
        answer.await.ok()
    }

    fn take(&self) -> Vec<Question> {
        let mut asked = self.asked.lock();
        let many = asked.len().min(TOGETHER);
        asked.drain(..many).collect()
    }
}

/// Answers until `stop`.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let Some(remote) = &shared.remote else {
        return;
    };
    loop {
        let questions = remote.standings.take();
        if questions.is_empty() {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = remote.standings.some.notified() => continue,
            }
        }
        let claims: Vec<(RunId, i64)> = questions.iter().map(|(claim, _)| *claim).collect();
        // No answer: those who asked are told by their dropped channel.
        if let Ok(stands) = shared.store.current(&claims).await {
            for ((_, asker), stands) in questions.into_iter().zip(stands) {
                let _ = asker.send(stands);
            }
        }
    }
}
