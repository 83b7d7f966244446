-- Parks it or gives it back.
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
    WHERE l.run_id = ANY (ARRAY[f.run_id]) AND f.applied AND f.act IN ('park', 'yield')
)
