//! Which of several rows for one task stands.

use std::collections::HashMap;

use neena_engine::run::{TaskKey, TaskRow, TaskStatus};

/// The rows that stand when `rows` are written one after the other: the last of each task, or its first
/// outcome, which nothing replaces. They keep their order.
pub(crate) fn standing(rows: &[TaskRow]) -> Vec<&TaskRow> {
    if rows.len() < 2 {
        return rows.iter().collect();
    }
    let mut winners: HashMap<TaskKey, usize> = HashMap::with_capacity(rows.len());
    for (at, row) in rows.iter().enumerate() {
        let winner = winners.entry(row.key).or_insert(at);
        if !rows[*winner].status.is_outcome() {
            *winner = at;
        }
    }
    rows.iter()
        .enumerate()
        .filter(|(at, row)| winners[&row.key] == *at)
        .map(|(_, row)| row)
        .collect()
}

/// Whether `new` replaces the stored row: it is no outcome, and not newer. A batch whose answer was lost may
/// land once more after later ones of its hold, and must not take back what they said: that a later attempt
/// started, or that this one failed. Only an attempt that never began is taken back (`pending`, nothing due).
pub(crate) fn replaces(new: &TaskRow, stored: &TaskRow) -> bool {
    let started = new.status == TaskStatus::InProgress;
    let tells_of_attempt = started || new.status == TaskStatus::Pending && new.due_at.is_some();
    let earlier = tells_of_attempt && new.attempt < stored.attempt;
    let failed_since =
        started && new.attempt == stored.attempt && stored.status == TaskStatus::Pending;
    !stored.status.is_outcome() && !earlier && !failed_since
}

#[cfg(test)]
mod tests {
    use neena_engine::ids::{RunId, TaskRunId};
    use uuid::Uuid;

    use super::*;

    fn row(index: u32, status: TaskStatus) -> TaskRow {
        TaskRow {
            key: TaskKey { index, item: None },
            id: TaskRunId::of(RunId(Uuid::nil()), index, None),
            status,
            attempt: 1,
            attempts_before: 0,
            start_time: None,
            end_time: None,
            due_at: None,
            result: None,
            error: None,
            prep_answer: None,
        }
    }

    fn check(rows: &[(u32, TaskStatus)], stand: &[(u32, TaskStatus)]) {
        let rows: Vec<TaskRow> = rows
            .iter()
            .map(|(index, status)| row(*index, *status))
            .collect();
        let standing: Vec<_> = standing(&rows)
            .into_iter()
            .map(|row| (row.key.index, row.status))
            .collect();
        assert_eq!(standing, stand);
    }

    #[test]
    fn a_started_row_dies_under_its_outcome_which_keeps_its_place() {
        use TaskStatus::{Completed, InProgress};
        check(
            &[
                (0, InProgress),
                (1, InProgress),
                (1, Completed),
                (0, Completed),
            ],
            &[(1, Completed), (0, Completed)],
        );
    }

    #[test]
    fn an_outcome_is_not_replaced() {
        use TaskStatus::{Completed, Failed, InProgress};
        check(
            &[(0, Completed), (0, InProgress), (0, Failed)],
            &[(0, Completed)],
        );
    }

    #[test]
    fn a_batch_that_lands_late_takes_back_no_later_attempt() {
        use TaskStatus::{Completed, InProgress, Pending};
        let at = |status, attempt, due: bool| TaskRow {
            attempt,
            due_at: due.then_some(neena_engine::Micros(1)),
            ..row(0, status)
        };
        let second_started = at(InProgress, 2, false);
        assert!(!replaces(&at(InProgress, 1, false), &second_started));
        assert!(!replaces(&at(Pending, 1, true), &second_started));
        assert!(!replaces(&at(InProgress, 1, false), &at(Pending, 1, true)));
        assert!(!replaces(
            &at(Completed, 2, false),
            &at(Completed, 2, false)
        ));
        // The attempt never began: it is taken back.
        assert!(replaces(&at(Pending, 1, false), &second_started));
        assert!(replaces(&second_started, &at(Pending, 1, true)));
        assert!(replaces(&at(Completed, 2, false), &second_started));
    }
}
