WITH want AS (
  SELECT * FROM unnest(?::uuid[], ?::uuid[], ?::text[], ?::int8[], ?::int8[], ?::text[], ?::text[],
      ?::text[], ?::int8[], ?::bool[], ?::bool[], ?::uuid[], ?::uuid[])
    w (run_id, claim, act, seen, wake_at, status, reason, body, start_time, noting, outcome, message, result)
),
-- The fence: the row lock, and the claim compared after the wait for it.
locked AS MATERIALIZED (
  SELECT l.run_id, l.organization_id, l.phase, l.intent, l.inbox_seq, l.epoch, l.claims, w.act, w.seen,
      w.wake_at, w.status, w.reason, w.body, w.start_time, w.noting, w.outcome, w.message, w.result
    FROM live_runs l JOIN want w ON w.run_id = l.run_id AND w.claim = l.claim
    ORDER BY l.run_id FOR NO KEY UPDATE OF l
),
fence AS MATERIALIZED (
  SELECT locked.*, (extract(epoch FROM clock_timestamp()) * 1000000)::int8 AS now,
      CASE act WHEN 'hold' THEN true WHEN 'yield' THEN true WHEN 'close' THEN phase = 'closing'
        ELSE phase = 'running' AND inbox_seq = seen END AS applied
    FROM locked
),
tasks AS (
  INSERT INTO task_runs AS t (run_id, idx, item, id, status, epoch, attempt, attempts_before, start_time,
      end_time, due_at, result, result_size, error, prep_answer)
    SELECT v.run_id, v.idx, v.item, v.id, v.status, f.epoch, v.attempt, v.attempts_before, v.start_time,
        v.end_time, v.due_at, v.result, v.result_size, v.error, v.prep_answer
      FROM unnest(?::uuid[], ?::int8[], ?::int8[], ?::uuid[], ?::text[], ?::int8[], ?::int8[],
          ?::int8[], ?::int8[], ?::int8[], ?::text[], ?::int8[], ?::text[], ?::text[])
        v (run_id, idx, item, id, status, attempt, attempts_before, start_time, end_time, due_at, result,
          result_size, error, prep_answer)
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
