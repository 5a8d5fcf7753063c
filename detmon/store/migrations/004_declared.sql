-- What `apply` made, so that --prune removes nothing else ------------------------------------------------------------
CREATE TABLE declared(
  kind VARCHAR /* model | baseline | engine | alert | ab_test */, id VARCHAR, made_at TIMESTAMP NOT NULL,
  PRIMARY KEY(kind, id));
-- Its items and scans stay, for estimates; it flags nothing more.
ALTER TABLE engines ADD COLUMN removed_at TIMESTAMP;
