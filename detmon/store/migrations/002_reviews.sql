-- The normal, reviews and what was chosen for them -----------------------------------------------------------------
CREATE TABLE baselines(
  model_id VARCHAR PRIMARY KEY, period_start TIMESTAMP NOT NULL, period_end TIMESTAMP NOT NULL, period VARCHAR NOT NULL,
  metrics VARCHAR NOT NULL /* JSON: metric → label set → value, n */, created_at TIMESTAMP NOT NULL);
-- Verdicts, as they came; what counts of them is what the two views say. No key: a million of them at once would take three
-- times as long, and an import leaves out the ids that are there anyway.
CREATE SEQUENCE feedback_seq;
CREATE TABLE feedback(
  seq BIGINT NOT NULL DEFAULT nextval('feedback_seq') /* later rows win over earlier ones of the same ts */,
  feedback_id VARCHAR NOT NULL, prediction_id VARCHAR NOT NULL,
  detection_index INTEGER /* NULL: the image as a whole, or it waits */, type VARCHAR NOT NULL, true_label VARCHAR,
  x FLOAT, y FLOAT, w FLOAT, h FLOAT, scope VARCHAR NOT NULL /* exhaustive | boxes_only */, reviewer VARCHAR,
  origin VARCHAR NOT NULL /* add | import | match | review */, tide VARCHAR, reason VARCHAR, ts TIMESTAMP NOT NULL,
  waiting BOOLEAN NOT NULL /* its prediction is not stored yet */, created_at TIMESTAMP NOT NULL,
  detection VARCHAR /* the box as the row names it, its place or its id, while it waits */,
  -- what its prediction says, so that questions need not read the log again; NULL while it waits
  model_id VARCHAR, predicted_at TIMESTAMP, label VARCHAR, confidence FLOAT /* of the box */);

-- The verdicts that count: of each box the newest; missed objects and verdicts on whole images all, but none that is older
-- than the newest complete look at the image. All rows of one complete look (`match`, `review`) carry the same ts; a newer
-- one replaces it. Conditions on model_id, predicted_at and prediction_id are applied before the windows.
CREATE VIEW current_feedback AS
  SELECT * EXCLUDE (place, looked_at) FROM (
    SELECT *,
      row_number() OVER (PARTITION BY model_id, predicted_at, prediction_id, detection_index, type = 'missed_object'
        ORDER BY ts DESC, seq DESC) AS place,
      max(ts) FILTER (WHERE origin IN ('match', 'review'))
        OVER (PARTITION BY model_id, predicted_at, prediction_id) AS looked_at
    FROM feedback WHERE NOT waiting)
  WHERE (place = 1 OR type = 'missed_object')
    AND (looked_at IS NULL OR ts >= looked_at OR (detection_index IS NOT NULL AND origin NOT IN ('match', 'review')));

-- One row an image that has a verdict: boxes judged, objects missed, and whether the whole of it was looked at (the newest
-- row of each reviewer says so). `lowest`: the lowest confidence that was judged.
CREATE VIEW image_reviews AS
  WITH reviewers AS (
    SELECT model_id, predicted_at, prediction_id, reviewer, arg_max(scope, (ts, seq)) AS scope
    FROM feedback WHERE NOT waiting GROUP BY model_id, predicted_at, prediction_id, reviewer),
  scopes AS (
    SELECT model_id, predicted_at, prediction_id, bool_or(scope = 'exhaustive') AS exhaustive
    FROM reviewers GROUP BY model_id, predicted_at, prediction_id),
  verdicts AS (
    SELECT model_id, predicted_at, prediction_id, count(detection_index) AS judged, min(confidence) AS lowest,
      count(*) FILTER (WHERE type = 'missed_object') AS missed, max(ts) AS reviewed_at
    FROM current_feedback GROUP BY model_id, predicted_at, prediction_id)
  SELECT v.*, s.exhaustive FROM verdicts v JOIN scopes s USING (model_id, predicted_at, prediction_id);
CREATE TABLE datasets(id VARCHAR PRIMARY KEY, name VARCHAR UNIQUE, created_at TIMESTAMP NOT NULL);
CREATE TABLE engines(
  engine_id VARCHAR PRIMARY KEY, model_id VARCHAR NOT NULL, dataset_id VARCHAR NOT NULL,
  config VARCHAR NOT NULL /* JSON, defaults filled in */, taken VARCHAR /* JSON: what conditions took from data */,
  salt VARCHAR NOT NULL, revision INTEGER NOT NULL, runs INTEGER NOT NULL /* grows with every change and run */,
  created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL, UNIQUE(model_id, dataset_id));
CREATE TABLE engine_revisions(
  engine_id VARCHAR, revision INTEGER, config VARCHAR NOT NULL, taken VARCHAR,
  reaches_all BOOLEAN NOT NULL /* a random sample is on: every scanned prediction had a chance */,
  created_at TIMESTAMP NOT NULL, PRIMARY KEY(engine_id, revision));
-- What was scanned: the ok predictions of the engine's model in a batch with first <= ts < last. Without a budget and a
-- period that is the whole batch. The domain of every estimate.
CREATE TABLE engine_scans(
  engine_id VARCHAR, batch_id INTEGER, revision INTEGER, first TIMESTAMP, last TIMESTAMP,
  scanned BIGINT NOT NULL, flagged BIGINT NOT NULL, again BOOLEAN NOT NULL /* by --period: tells nothing of the rest */,
  scanned_at TIMESTAMP NOT NULL, PRIMARY KEY(engine_id, batch_id, revision, first, last));
CREATE TABLE engine_caps(
  engine_id VARCHAR, stage VARCHAR /* gap | source_day | day */, group_key VARCHAR,
  tau DOUBLE NOT NULL /* the share of the group's candidates that was kept */,
  cut DOUBLE NOT NULL /* kept: a bucket below it */, PRIMARY KEY(engine_id, stage, group_key));
CREATE TABLE items(
  item_id VARCHAR NOT NULL /* each once: whoever adds items leaves out those that are there */, dataset_id VARCHAR NOT NULL,
  prediction_id VARCHAR NOT NULL, model_id VARCHAR NOT NULL,
  ts TIMESTAMP NOT NULL, reasons VARCHAR[], inclusion_probability DOUBLE /* NULL: picked by hand */,
  estimable BOOLEAN NOT NULL, status VARCHAR NOT NULL /* needs_review | reviewed | ignored, as set by hand: see item_states */,
  set_at TIMESTAMP /* by hand */, created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL);

-- Items with the status that counts: one that needs review is reviewed as soon as a complete review is there, whichever of
-- the two came first. Complete: the whole image was looked at, or each of its boxes down to the lowest confidence that
-- anybody judged of this model has a verdict. Set by hand, a status stays until a newer review.
CREATE VIEW item_states AS
  WITH floors AS (
    SELECT model_id, min(confidence) AS floor FROM feedback WHERE NOT waiting GROUP BY model_id),
  looked_at AS (
    SELECT i.item_id, i.ts, i.prediction_id, r.exhaustive, r.judged, coalesce(f.floor, 0) AS floor
    FROM items i
      JOIN image_reviews r ON r.model_id = i.model_id AND r.predicted_at = i.ts AND r.prediction_id = i.prediction_id
      JOIN floors f ON f.model_id = i.model_id
    WHERE i.status = 'needs_review' AND (i.set_at IS NULL OR r.reviewed_at > i.set_at)),
  complete AS (
    SELECT item_id FROM looked_at WHERE exhaustive
    UNION  -- the log is read only where boxes have to be counted
    SELECT l.item_id FROM looked_at l JOIN predictions p ON p.ts = l.ts AND p.prediction_id = l.prediction_id
    WHERE NOT l.exhaustive AND l.judged >= array_length(list_filter(p.detections,
      lambda d: d.confidence IS NULL OR d.confidence >= l.floor)))
  SELECT i.* EXCLUDE (status), CASE WHEN c.item_id IS NULL THEN i.status ELSE 'reviewed' END AS status
  FROM items i LEFT JOIN complete c USING (item_id);
