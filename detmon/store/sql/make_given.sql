-- The rows of a file of verdicts as they are written, and those that cannot be read.
CREATE TABLE given(line BIGINT, prediction_id VARCHAR, detection_index VARCHAR, feedback_type VARCHAR, true_label VARCHAR,
  bbox VARCHAR, scope VARCHAR, reviewer VARCHAR, "timestamp" VARCHAR, feedback_id VARCHAR);
CREATE TABLE broken(line BIGINT, field VARCHAR, code VARCHAR, reason VARCHAR, raw VARCHAR)
