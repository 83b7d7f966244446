WITH want AS (
  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::int8[], $5::int8[], $6::text[], $7::text[],
      $8::text[], $9::int8[], $10::bool[], $11::bool[], $12::uuid[], $13::uuid[])
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
ended AS (
  SELECT * FROM fence WHERE applied AND act IN ('finish', 'close')
),
tasks AS (
  INSERT INTO task_runs AS t (run_id, idx, item, id, status, epoch, attempt, attempts_before, start_time,
      end_time, due_at, result, result_size, error, prep_answer)
    SELECT v.run_id, v.idx, v.item, v.id, v.status, f.epoch, v.attempt, v.attempts_before, v.start_time,
        v.end_time, v.due_at, v.result, v.result_size, v.error, v.prep_answer
      FROM unnest($14::uuid[], $15::int8[], $16::int8[], $17::uuid[], $18::text[], $19::int8[], $20::int8[],
          $21::int8[], $22::int8[], $23::int8[], $24::text[], $25::int8[], $26::text[], $27::text[])
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
),
attempts AS (
  INSERT INTO task_attempts (run_id, idx, item, round, attempt, start_time, end_time, error)
    SELECT v.run_id, v.idx, v.item, r.round, v.attempt, v.start_time, v.end_time, v.error
      FROM unnest($28::uuid[], $29::int8[], $30::int8[], $31::int8[], $32::int8[], $33::int8[], $34::text[])
        v (run_id, idx, item, attempt, start_time, end_time, error)
      JOIN fence f ON f.run_id = v.run_id JOIN flow_runs r ON r.id = v.run_id
    ON CONFLICT (run_id, idx, item, round, attempt) DO NOTHING
),
-- Gates that were reached, and whom they ask; nobody once the run was cancelled or is over.
reached AS MATERIALIZED (
  SELECT f.run_id, v.idx, v.item, f.organization_id, l.flow_id, v.name, v.stage, v.needed, v.audience, v.body, v.asked_at,
      v.due_at, v.wake_at, v.tell, v.requester, v.author
    FROM unnest($37::uuid[], $38::int8[], $39::int8[], $40::text[], $41::int4[], $42::int4[], $43::text[],
        $44::text[], $45::int8[], $46::int8[], $47::int8[], $48::text[], $49::text[], $50::text[])
      v (run_id, idx, item, name, stage, needed, audience, body, asked_at, due_at, wake_at, tell, requester, author)
    JOIN fence f ON f.run_id = v.run_id AND f.phase <> 'closing' AND NOT (f.applied AND f.act = 'finish')
    JOIN live_runs l ON l.run_id = v.run_id
),
-- In one order, so that batches which name the same audiences do not wait for each other in a circle.
audience AS (
  INSERT INTO audiences (organization_id, hash, body)
    SELECT DISTINCT r.organization_id, r.audience, r.body FROM reached r
      WHERE NOT EXISTS (SELECT 1 FROM audiences a WHERE a.organization_id = r.organization_id AND a.hash = r.audience)
      ORDER BY 1, 2
    ON CONFLICT (organization_id, hash) DO NOTHING
),
asks AS (
  INSERT INTO asks (run_id, idx, item, organization_id, flow_id, name, state, stage, needed, audience, asked_at, due_at,
      wake_at, escalated, tell, requester, author)
    SELECT run_id, idx, item, organization_id, flow_id, name, 'open', stage, needed, audience, asked_at, due_at, wake_at,
        false, tell, requester, author
      FROM reached
    ON CONFLICT (run_id, idx, item) DO NOTHING
),
-- Gates that are asked about no more.
withdrawn AS (
  DELETE FROM asks a USING unnest($51::uuid[], $52::int8[], $53::int8[]) v (run_id, idx, item), fence f
    WHERE f.run_id = v.run_id AND a.run_id = v.run_id AND a.idx = v.idx AND a.item = v.item AND (a.state = 'open') IS TRUE
),
-- A run that is over asks nobody. Said so that the index of open questions, which has those of all runs, does not fit.
silenced AS (
  DELETE FROM asks a USING ended e WHERE a.run_id = e.run_id AND (a.state = 'open') IS TRUE
),
-- Parks it, gives it back, or notes that this claim got somewhere.
live AS (
  UPDATE live_runs l SET
      phase = CASE WHEN f.act = 'park' AND f.intent = 'pause' THEN 'paused' WHEN f.act = 'park' THEN 'parked'
        WHEN f.act = 'yield' AND f.phase = 'running' THEN 'ready' ELSE f.phase END,
      intent = CASE WHEN f.act = 'park' THEN NULL ELSE l.intent END,
      owner = CASE WHEN f.act IN ('park', 'yield') THEN NULL ELSE l.owner END,
      claim = CASE WHEN f.act IN ('park', 'yield') THEN NULL ELSE l.claim END,
      wake_at = CASE WHEN f.act <> 'park' THEN l.wake_at WHEN f.intent = 'pause' THEN NULL ELSE f.wake_at END,
      ready_at = CASE WHEN f.act = 'yield' THEN f.now ELSE l.ready_at END,
      claims = 0
    FROM fence f
    WHERE l.run_id = f.run_id AND f.applied AND f.act IN ('park', 'yield')
),
progress AS (
  UPDATE live_runs l SET claims = 0
    FROM fence f
    WHERE l.run_id = f.run_id AND f.claims > 1 AND f.outcome AND (NOT f.applied OR f.act = 'hold')
),
gone AS (
  DELETE FROM live_runs l USING ended e WHERE l.run_id = e.run_id
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
    WHERE r.id = f.run_id AND (
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
        act = 'yield', organization_id, run_id, epoch, now, now + CASE act WHEN 'yield' THEN $35::int8 ELSE $36::int8 END, 0
      FROM fence WHERE applied AND act IN ('finish', 'close', 'yield')
)
SELECT run_id, phase, intent, inbox_seq, applied, organization_id, epoch, now FROM fence
