-- The fence of runs that all go on: the row lock, and the claim compared after the wait for it.
WITH fence AS MATERIALIZED (
  SELECT l.run_id, l.organization_id, l.phase, l.intent, l.inbox_seq, l.epoch, 'hold' AS act, true AS applied
    FROM live_runs l JOIN unnest(?::uuid[], ?::uuid[]) w (run_id, claim) ON l.run_id = ANY (ARRAY[w.run_id]) AND w.claim = l.claim
    ORDER BY w.run_id FOR NO KEY UPDATE OF l
)
