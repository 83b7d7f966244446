WITH want AS (
  SELECT * FROM unnest(?::uuid[], ?::uuid[], ?::text[], ?::int8[], ?::int8[], ?::text[], ?::text[],
      ?::text[], ?::int8[], ?::bool[], ?::bool[], ?::uuid[], ?::uuid[])
    w (run_id, claim, act, seen, wake_at, status, reason, body, start_time, noting, outcome, message, result)
),
-- The fence: the row lock, and the claim compared after the wait for it.
locked AS MATERIALIZED (
  SELECT l.run_id, l.organization_id, l.phase, l.intent, l.inbox_seq, l.epoch, l.claims, w.act, w.seen,
      w.wake_at, w.status, w.reason, w.body, w.start_time, w.noting, w.outcome, w.message, w.result
    FROM live_runs l JOIN want w ON l.run_id = ANY (ARRAY[w.run_id]) AND w.claim = l.claim
    ORDER BY w.run_id FOR NO KEY UPDATE OF l
),
fence AS MATERIALIZED (
  SELECT locked.*, (extract(epoch FROM clock_timestamp()) * 1000000)::int8 AS now,
      CASE act WHEN 'hold' THEN true WHEN 'yield' THEN true WHEN 'close' THEN phase = 'closing'
        ELSE phase = 'running' AND inbox_seq = seen END AS applied
    FROM locked
)
