-- The log, its manifest and its rollups -----------------------------------------------------------------------------
CREATE SEQUENCE batch_seq;
CREATE TABLE batches(
  batch_id INTEGER NOT NULL, sha256 VARCHAR, path VARCHAR, format VARCHAR, bytes BIGINT,
  n_read BIGINT, n_ok BIGINT, n_duplicate BIGINT, n_rejected BIGINT, n_detections BIGINT,
  ts_min TIMESTAMP, ts_max TIMESTAMP, denominator VARCHAR /* known | inferred | unknown */,
  complete BOOLEAN NOT NULL /* the source's last batch: its sha256 is known from now on */, loaded_at TIMESTAMP);
CREATE TABLE predictions(
  prediction_id VARCHAR NOT NULL, model_id VARCHAR NOT NULL, ts TIMESTAMP NOT NULL /* UTC */, image_id VARCHAR NOT NULL,
  image_uri VARCHAR, source VARCHAR, image_width INTEGER, image_height INTEGER, latency_ms FLOAT, status VARCHAR,
  confidence_floor FLOAT, tags MAP(VARCHAR, VARCHAR),
  detections STRUCT(label VARCHAR, confidence FLOAT, x FLOAT, y FLOAT, w FLOAT, h FLOAT, detection_id VARCHAR, track_id VARCHAR)[],
  n_detections USMALLINT NOT NULL, confidence_n USMALLINT NOT NULL /* boxes that have a confidence */,
  confidence_sum DOUBLE NOT NULL /* sum of millionths / 1e6 */, confidence_min FLOAT, confidence_max FLOAT,
  area_min FLOAT, area_max FLOAT /* shares of the image's area */, max_iou FLOAT, batch_id INTEGER NOT NULL);
CREATE VIEW detections AS
  SELECT * EXCLUDE (detections, d, n), n AS detection_index, d.label AS label, d.confidence AS confidence,
    d.x AS x, d.y AS y, d.w AS w, d.h AS h, coalesce(d.detection_id, prediction_id || ':' || n) AS detection_id,
    d.track_id AS track_id
  FROM (SELECT *, unnest(detections) AS d, unnest(range(array_length(detections))) AS n FROM predictions);
CREATE TABLE quarantine(
  batch_id INTEGER, path VARCHAR, line BIGINT, field VARCHAR, code VARCHAR, reason VARCHAR, raw VARCHAR);

-- Additive partial sums an hour and batch; reading sums them, they are merged now and then (within one denominator, under
-- the smallest batch_id). All sums are integers, so that they are exact in any order: confidences (s, ss, ns) in
-- millionths, latencies in microseconds. `images` counts all rows, `errors` those with status error; the rest is of ok rows.
CREATE TABLE rollup_images(
  hour TIMESTAMP, model_id VARCHAR, source VARCHAR, batch_id INTEGER, images BIGINT, errors BIGINT, empty BIGINT,
  n BIGINT, nn BIGINT, s BIGINT, ss HUGEINT, ns HUGEINT, confidence_n BIGINT,
  latency_n BIGINT, latency_s HUGEINT, latency_ss HUGEINT,
  ts_min TIMESTAMP, ts_max TIMESTAMP, floor_min FLOAT, floor_max FLOAT);
CREATE TABLE rollup_histograms(
  hour TIMESTAMP, model_id VARCHAR, batch_id INTEGER,
  kind VARCHAR /* confidence: 1000 bins | count: 0..65 | latency: ceil(log 1.02) | area: share of the image, ceil(log 1.05) */,
  bin INTEGER, n BIGINT);
CREATE TABLE rollup_classes(
  hour TIMESTAMP, model_id VARCHAR, batch_id INTEGER, label VARCHAR, detections BIGINT, images BIGINT, s BIGINT, ss HUGEINT);

CREATE TABLE models(
  id VARCHAR PRIMARY KEY, name VARCHAR NOT NULL, version VARCHAR, uri VARCHAR, zone VARCHAR, aliases VARCHAR[],
  parent VARCHAR, job_id VARCHAR, created_at TIMESTAMP);

-- Alerts ------------------------------------------------------------------------------------------------------------
CREATE SEQUENCE alert_seq;
CREATE SEQUENCE outbox_seq;
CREATE TABLE alerts(
  id VARCHAR PRIMARY KEY, live_key VARCHAR UNIQUE /* model_id, unit separator, name; NULL once deleted */,
  name VARCHAR NOT NULL, model_id VARCHAR NOT NULL, version INTEGER NOT NULL, enabled BOOLEAN NOT NULL,
  definition VARCHAR NOT NULL /* canonical JSON, defaults filled in */, last_slot TIMESTAMP /* evaluated or skipped */,
  created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL, deleted_at TIMESTAMP);
CREATE TABLE alert_runs(
  run_id VARCHAR PRIMARY KEY, now TIMESTAMP NOT NULL, started_at TIMESTAMP NOT NULL, host VARCHAR, pid INTEGER,
  version VARCHAR, scope VARCHAR, rules INTEGER, slots INTEGER, failed INTEGER, events INTEGER);
CREATE TABLE alert_evaluations(
  alert_id VARCHAR, slot TIMESTAMP, version INTEGER NOT NULL, run_id VARCHAR NOT NULL,
  status VARCHAR NOT NULL /* done | error | skipped */, skipped_from TIMESTAMP, instances INTEGER, ms DOUBLE,
  error VARCHAR, PRIMARY KEY(alert_id, slot));
CREATE TABLE alert_instances(
  instance_key VARCHAR PRIMARY KEY, alert_id VARCHAR NOT NULL, version INTEGER NOT NULL, labels VARCHAR NOT NULL,
  condition VARCHAR NOT NULL, active_since TIMESTAMP, fired_at TIMESTAMP, recovering_since TIMESTAMP,
  episode_id VARCHAR, peak DOUBLE, health VARCHAR NOT NULL, health_since TIMESTAMP, health_reason VARCHAR,
  told VARCHAR, health_episode_id VARCHAR, ever BOOLEAN NOT NULL, state VARCHAR NOT NULL,
  state_since TIMESTAMP NOT NULL, value DOUBLE, n BIGINT, detail VARCHAR /* z, expected, low, high */,
  last_slot TIMESTAMP NOT NULL, last_data_slot TIMESTAMP, held_by VARCHAR, flap VARCHAR /* {fired: [slots], since, changed} */);
CREATE TABLE alert_events(
  seq BIGINT PRIMARY KEY DEFAULT nextval('alert_seq'), alert_id VARCHAR NOT NULL, instance_key VARCHAR NOT NULL,
  episode_id VARCHAR, slot TIMESTAMP NOT NULL, kind VARCHAR NOT NULL, labels VARCHAR NOT NULL, value DOUBLE, n BIGINT,
  threshold DOUBLE, reason VARCHAR, detail VARCHAR, run_id VARCHAR NOT NULL, recorded_at TIMESTAMP NOT NULL);
CREATE TABLE alert_notified(
  episode_id VARCHAR, target VARCHAR, notice_id VARCHAR NOT NULL, last_slot TIMESTAMP NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY(episode_id, target));
CREATE TABLE alert_silences(
  silence_id VARCHAR PRIMARY KEY, kind VARCHAR NOT NULL /* silence | ack */, matchers VARCHAR, episode_id VARCHAR,
  starts_at TIMESTAMP NOT NULL, ends_at TIMESTAMP, author VARCHAR NOT NULL, comment VARCHAR, created_at TIMESTAMP NOT NULL);
CREATE TABLE outbox(
  notice_id VARCHAR PRIMARY KEY, seq BIGINT NOT NULL, target VARCHAR NOT NULL /* as written in the rule */,
  kind VARCHAR NOT NULL, group_key VARCHAR NOT NULL, alert_id VARCHAR, slot TIMESTAMP NOT NULL, run_id VARCHAR NOT NULL,
  payload VARCHAR NOT NULL, status VARCHAR NOT NULL /* queued | sending | sent | dead | merged | dropped */,
  created_at TIMESTAMP NOT NULL, not_before TIMESTAMP NOT NULL, expires_at TIMESTAMP NOT NULL, attempts INTEGER NOT NULL,
  ambiguous BOOLEAN NOT NULL, owner VARCHAR, lease_until TIMESTAMP, last_error VARCHAR, receipt VARCHAR,
  merged_into VARCHAR, ended_at TIMESTAMP);
CREATE TABLE outbox_items(
  notice_id VARCHAR, item INTEGER, alert_id VARCHAR, instance_key VARCHAR, episode_id VARCHAR, kind VARCHAR NOT NULL,
  detail VARCHAR NOT NULL, PRIMARY KEY(notice_id, item));
CREATE TABLE target_health(
  target VARCHAR PRIMARY KEY, failing_since TIMESTAMP, last_ok TIMESTAMP, retry_at TIMESTAMP, consecutive INTEGER NOT NULL,
  last_error VARCHAR, fallback_sent_at TIMESTAMP);
