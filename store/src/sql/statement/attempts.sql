attempts AS (
  INSERT INTO task_attempts (run_id, idx, item, round, attempt, start_time, end_time, error)
    SELECT v.run_id, v.idx, v.item, r.round, v.attempt, v.start_time, v.end_time, v.error
      FROM unnest(?::uuid[], ?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::text[])
        v (run_id, idx, item, attempt, start_time, end_time, error)
      JOIN fence f ON f.run_id = v.run_id JOIN flow_runs r ON r.id = ANY (ARRAY[v.run_id])
    ON CONFLICT (run_id, idx, item, round, attempt) DO NOTHING
)
