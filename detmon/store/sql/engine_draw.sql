-- The predictions of `rows` whose bucket is below the highest rate among the conditions that hold.
-- The braces take constants of detmon.data_engine, never values.
CREATE OR REPLACE TEMP TABLE drawn AS
SELECT * FROM (
  SELECT *, {bucket} AS u FROM (SELECT *, {rate} AS rate FROM ({rows})) WHERE rate > 0)
WHERE u < rate
