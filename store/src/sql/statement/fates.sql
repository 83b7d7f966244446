ended AS (
  SELECT * FROM fence WHERE applied AND act IN ('finish', 'close')
),
-- A run that is over asks nobody. Said so that the index of open questions, which has those of all runs, does not fit.
silenced AS (
  DELETE FROM asks a USING ended e WHERE a.run_id = ANY (ARRAY[e.run_id]) AND (a.state = 'open') IS TRUE
),
-- This claim got somewhere.
progress AS (
  UPDATE live_runs l SET claims = 0
    FROM fence f
    WHERE l.run_id = ANY (ARRAY[f.run_id]) AND f.claims > 1 AND f.outcome AND (NOT f.applied OR f.act = 'hold')
),
gone AS (
  DELETE FROM live_runs l USING ended e WHERE l.run_id = ANY (ARRAY[e.run_id])
),
-- The epoch is kept with the run, so that a retry goes on counting from it.
runs AS (
  UPDATE flow_runs r SET
      status = CASE WHEN f.applied AND f.act = 'finish' THEN f.status ELSE r.status END,
      end_time = CASE WHEN f.applied AND f.act = 'finish' THEN f.now ELSE r.end_time END,
      epoch = CASE WHEN f.applied AND f.act IN ('finish', 'close') THEN f.epoch ELSE r.epoch END,
      start_time = CASE WHEN f.applied AND f.act IN ('finish', 'close')
          OR f.noting AND r.status = 'in_progress'
        THEN coalesce(r.start_time, f.start_time, f.now) ELSE r.start_time END,
      reason = CASE WHEN f.applied AND f.act = 'finish' THEN f.reason
        WHEN f.applied AND f.act = 'close' THEN r.reason
        WHEN f.applied AND f.act = 'park' AND f.reason IS NOT NULL THEN f.reason
        WHEN f.noting AND r.status = 'in_progress' THEN NULL ELSE r.reason END
    FROM fence f
    WHERE r.id = ANY (ARRAY[f.run_id]) AND (
      f.applied AND f.act IN ('finish', 'close')
      OR f.applied AND f.act = 'park' AND f.reason IS NOT NULL
      OR f.noting AND r.status = 'in_progress' AND (r.start_time IS NULL OR r.reason IS NOT NULL))
),
results AS (
  INSERT INTO flow_results (run_id, id, organization_id, body, created_at)
    SELECT run_id, result, organization_id, body, now FROM ended
    ON CONFLICT (run_id) DO UPDATE SET id = excluded.id, body = excluded.body,
      created_at = excluded.created_at
),
messages AS (
  INSERT INTO outbox (id, kind, required, organization_id, run_id, epoch, at, try_after, tries)
    SELECT message, 'flow_run.' || CASE act WHEN 'yield' THEN 'resumed' WHEN 'close' THEN 'cancelled' ELSE status END,
        act = 'yield', organization_id, run_id, epoch, now, now + CASE act WHEN 'yield' THEN ?::int8 ELSE ?::int8 END, 0
      FROM fence WHERE applied AND act IN ('finish', 'close', 'yield')
)
