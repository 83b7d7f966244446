-- What the checker sees of a database: every claim, every outcome and every end, with the process that wrote it
-- (each names itself in `application_name`) and the claim that stood at that moment.
CREATE SCHEMA chaos;
CREATE TABLE chaos.claims (n bigserial PRIMARY KEY, run_id uuid, epoch bigint, owner uuid, app text, at bigint);
CREATE INDEX ON chaos.claims (run_id, epoch);
CREATE TABLE chaos.writes (
  n bigserial PRIMARY KEY, run_id uuid, idx bigint, before text, after text, epoch bigint, app text,
  stood_epoch bigint, stood_app text, at bigint);
CREATE INDEX ON chaos.writes (run_id, idx);
CREATE TABLE chaos.frees (n bigserial PRIMARY KEY, run_id uuid, epoch bigint, app text, phase text, at bigint);
CREATE INDEX ON chaos.frees (run_id, epoch);
CREATE TABLE chaos.ends (
  n bigserial PRIMARY KEY, run_id uuid, phase text, epoch bigint, app text, stood_epoch bigint, stood_app text, at bigint);
CREATE TABLE chaos.statuses (n bigserial PRIMARY KEY, run_id uuid, before text, after text, app text, at bigint);
CREATE INDEX ON chaos.statuses (run_id);
CREATE TABLE chaos.messages (n bigserial PRIMARY KEY, id uuid, run_id uuid, kind text, what text, at bigint);
CREATE INDEX ON chaos.messages (id);

CREATE FUNCTION chaos.now() RETURNS bigint LANGUAGE sql VOLATILE AS
  $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$;
CREATE FUNCTION chaos.app() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting('application_name') $$;

CREATE FUNCTION chaos.live_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.claim IS NOT NULL AND NEW.claim IS DISTINCT FROM OLD.claim THEN
    INSERT INTO chaos.claims (run_id, epoch, owner, app, at)
      VALUES (NEW.run_id, NEW.epoch, NEW.owner, chaos.app(), chaos.now());
  ELSIF NEW.owner IS NULL AND OLD.owner IS NOT NULL THEN
    INSERT INTO chaos.frees (run_id, epoch, app, phase, at)
      VALUES (NEW.run_id, NEW.epoch, chaos.app(), NEW.phase, chaos.now());
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER chaos_live_updated AFTER UPDATE ON live_runs FOR EACH ROW EXECUTE FUNCTION chaos.live_updated();

CREATE FUNCTION chaos.live_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE stood record;
BEGIN
  SELECT epoch, app INTO stood FROM chaos.claims WHERE run_id = OLD.run_id ORDER BY epoch DESC LIMIT 1;
  INSERT INTO chaos.ends (run_id, phase, epoch, app, stood_epoch, stood_app, at)
    VALUES (OLD.run_id, OLD.phase, OLD.epoch, chaos.app(), stood.epoch, stood.app, chaos.now());
  RETURN NULL;
END $$;
CREATE TRIGGER chaos_live_deleted AFTER DELETE ON live_runs FOR EACH ROW EXECUTE FUNCTION chaos.live_deleted();

CREATE FUNCTION chaos.task_written() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  stood record;
  was text := NULL;
BEGIN
  IF NEW.status NOT IN ('completed', 'failed', 'skipped', 'cancelled') THEN RETURN NULL; END IF;
  IF TG_OP = 'UPDATE' THEN was := OLD.status; END IF;
  SELECT epoch, app INTO stood FROM chaos.claims WHERE run_id = NEW.run_id ORDER BY epoch DESC LIMIT 1;
  INSERT INTO chaos.writes (run_id, idx, before, after, epoch, app, stood_epoch, stood_app, at)
    VALUES (NEW.run_id, NEW.idx, was, NEW.status, NEW.epoch, chaos.app(), stood.epoch, stood.app, chaos.now());
  RETURN NULL;
END $$;
CREATE TRIGGER chaos_task_written AFTER INSERT OR UPDATE ON task_runs FOR EACH ROW EXECUTE FUNCTION chaos.task_written();

CREATE FUNCTION chaos.run_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.status IS DISTINCT FROM OLD.status THEN
    INSERT INTO chaos.statuses (run_id, before, after, app, at)
      VALUES (NEW.id, OLD.status, NEW.status, chaos.app(), chaos.now());
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER chaos_run_updated AFTER UPDATE ON flow_runs FOR EACH ROW EXECUTE FUNCTION chaos.run_updated();

CREATE FUNCTION chaos.outbox_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO chaos.messages (id, run_id, kind, what, at) VALUES (NEW.id, NEW.run_id, NEW.kind, 'stored', chaos.now());
  ELSE
    INSERT INTO chaos.messages (id, run_id, kind, what, at) VALUES (OLD.id, OLD.run_id, OLD.kind, 'done', chaos.now());
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER chaos_outbox_changed AFTER INSERT OR DELETE ON outbox FOR EACH ROW EXECUTE FUNCTION chaos.outbox_changed();
