-- Trainings of a version: what was started, how it ended, what it made ------------------------------------------------
CREATE TABLE training_jobs(
  id VARCHAR PRIMARY KEY, name VARCHAR NOT NULL, dataset_id VARCHAR NOT NULL, version_id VARCHAR NOT NULL,
  base_model_id VARCHAR, trainer VARCHAR NOT NULL, command VARCHAR NOT NULL /* JSON: the arguments */,
  task VARCHAR NOT NULL /* JSON: folders and times, as the trainer was told */, handle VARCHAR /* NULL: not started */,
  status VARCHAR NOT NULL /* queued | running | succeeded | failed | cancelled */, exit_code INTEGER, reason VARCHAR,
  log VARCHAR /* where it is */, output VARCHAR NOT NULL, model_id VARCHAR, created_at TIMESTAMP NOT NULL,
  started_at TIMESTAMP, finished_at TIMESTAMP);
