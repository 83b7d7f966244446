tasks AS (
  INSERT INTO task_runs AS t (run_id, idx, item, id, status, epoch, attempt, attempts_before, start_time,
      end_time, due_at, result, result_size, error, prep_answer)
    SELECT v.run_id, v.idx, v.item, v.id, v.status, f.epoch, v.attempt, v.attempts_before, v.start_time,
        v.end_time, v.due_at, v.result, octet_length(v.result), v.error, v.prep_answer
      FROM unnest(?::uuid[], ?::int8[], ?::int8[], ?::uuid[], ?::text[], ?::int8[], ?::int8[],
          ?::int8[], ?::int8[], ?::int8[], ?::text[], ?::text[], ?::text[])
        v (run_id, idx, item, id, status, attempt, attempts_before, start_time, end_time, due_at, result,
          error, prep_answer)
      JOIN fence f ON f.run_id = v.run_id
    -- An outcome is written once, and a batch that lands late takes back no later attempt (rows.rs).
    ON CONFLICT (run_id, idx, item) DO UPDATE SET status = excluded.status, epoch = excluded.epoch,
        attempt = excluded.attempt, attempts_before = excluded.attempts_before,
        start_time = excluded.start_time, end_time = excluded.end_time, due_at = excluded.due_at,
        result = excluded.result, result_size = excluded.result_size, error = excluded.error,
        prep_answer = excluded.prep_answer
      WHERE NOT (excluded.attempt < t.attempt AND (excluded.status = 'in_progress'
          OR excluded.status = 'pending' AND excluded.due_at IS NOT NULL))
        AND NOT (excluded.status = 'in_progress' AND t.status = 'pending' AND excluded.attempt = t.attempt)
        AND t.status IN ('pending', 'in_progress')
)
