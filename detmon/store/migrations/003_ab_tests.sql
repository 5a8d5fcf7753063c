-- Comparisons of two models -----------------------------------------------------------------------------------------
CREATE TABLE ab_tests(
  id VARCHAR PRIMARY KEY, name VARCHAR UNIQUE NOT NULL, model_a_id VARCHAR NOT NULL, model_b_id VARCHAR NOT NULL,
  config VARCHAR NOT NULL /* canonical JSON, defaults filled in */, starts_at TIMESTAMP NOT NULL, stopped_at TIMESTAMP,
  expected_units DOUBLE /* until the end, from the week before: for tests without a planned end */,
  assigned BOOLEAN NOT NULL /* the hash has told routers where to send units */, created_at TIMESTAMP NOT NULL);
