-- The normal, reviews and what was chosen for them -----------------------------------------------------------------
CREATE TABLE baselines(
  model_id VARCHAR PRIMARY KEY, period_start TIMESTAMP NOT NULL, period_end TIMESTAMP NOT NULL, period VARCHAR NOT NULL,
  metrics VARCHAR NOT NULL /* JSON: metric → label set → value, n */, created_at TIMESTAMP NOT NULL);
CREATE SEQUENCE feedback_seq;
CREATE TABLE feedback(
  seq BIGINT NOT NULL DEFAULT nextval('feedback_seq') /* later rows win over earlier ones of the same ts */,
  feedback_id VARCHAR PRIMARY KEY, prediction_id VARCHAR NOT NULL,
  detection_index INTEGER /* NULL: the image as a whole */, type VARCHAR NOT NULL, true_label VARCHAR,
  x FLOAT, y FLOAT, w FLOAT, h FLOAT, scope VARCHAR NOT NULL /* exhaustive | boxes_only */, reviewer VARCHAR,
  origin VARCHAR NOT NULL /* add | import | match | review */, tide VARCHAR, reason VARCHAR, ts TIMESTAMP NOT NULL,
  waiting BOOLEAN NOT NULL /* its prediction is not stored yet */, created_at TIMESTAMP NOT NULL);
CREATE TABLE datasets(id VARCHAR PRIMARY KEY, name VARCHAR UNIQUE, created_at TIMESTAMP NOT NULL);
CREATE TABLE engines(
  engine_id VARCHAR PRIMARY KEY, model_id VARCHAR NOT NULL, dataset_id VARCHAR NOT NULL, config VARCHAR NOT NULL,
  salt VARCHAR NOT NULL, revision INTEGER NOT NULL, created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL,
  UNIQUE(model_id, dataset_id));
CREATE TABLE engine_revisions(
  engine_id VARCHAR, revision INTEGER, config VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL,
  PRIMARY KEY(engine_id, revision));
CREATE TABLE engine_scans(
  engine_id VARCHAR, batch_id INTEGER, revision INTEGER, scanned BIGINT, flagged BIGINT, scanned_at TIMESTAMP,
  PRIMARY KEY(engine_id, batch_id));
CREATE TABLE engine_caps(
  engine_id VARCHAR, stage VARCHAR /* gap | source_day | day */, group_key VARCHAR, tau DOUBLE, k INTEGER,
  PRIMARY KEY(engine_id, stage, group_key));
CREATE TABLE items(
  item_id VARCHAR PRIMARY KEY, dataset_id VARCHAR NOT NULL, prediction_id VARCHAR NOT NULL, model_id VARCHAR NOT NULL,
  ts TIMESTAMP NOT NULL, reasons VARCHAR[], inclusion_probability DOUBLE /* NULL: picked by hand */,
  estimable BOOLEAN NOT NULL, status VARCHAR NOT NULL /* needs_review | reviewed | ignored */,
  created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL);
