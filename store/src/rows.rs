//! Which of several rows for one task stands.

use std::collections::HashMap;

use neena_engine::run::{TaskKey, TaskRow};

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

#[cfg(test)]
mod tests {
    use neena_engine::ids::{RunId, TaskRunId};
    use neena_engine::run::TaskStatus;
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
}
