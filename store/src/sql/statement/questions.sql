-- Gates that were reached, and whom they ask; nobody once the run was cancelled or is over.
reached AS MATERIALIZED (
  SELECT f.run_id, v.idx, v.item, f.organization_id, l.flow_id, v.name, v.stage, v.needed, v.audience, v.body, v.asked_at,
      v.due_at, v.wake_at, v.tell, v.requester, v.author
    FROM unnest(?::uuid[], ?::int8[], ?::int8[], ?::text[], ?::int4[], ?::int4[], ?::text[],
        ?::text[], ?::int8[], ?::int8[], ?::int8[], ?::text[], ?::text[], ?::text[])
      v (run_id, idx, item, name, stage, needed, audience, body, asked_at, due_at, wake_at, tell, requester, author)
    JOIN fence f ON f.run_id = v.run_id AND f.phase <> 'closing' AND NOT (f.applied AND f.act = 'finish')
    JOIN live_runs l ON l.run_id = ANY (ARRAY[v.run_id])
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
  DELETE FROM asks a USING unnest(?::uuid[], ?::int8[], ?::int8[]) v (run_id, idx, item), fence f
    WHERE f.run_id = v.run_id AND a.run_id = ANY (ARRAY[v.run_id]) AND a.idx = v.idx AND a.item = v.item AND (a.state = 'open') IS TRUE
)
