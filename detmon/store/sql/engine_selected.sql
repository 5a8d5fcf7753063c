-- What was drawn, with its probability and its reasons. The braces take constants of detmon.data_engine, never values.
INSERT INTO selected
SELECT prediction_id, ts, source, batch_id, {rate} AS probability, string_split(concat_ws(',', {reasons}), ',') AS reasons
FROM (SELECT *, {conditions}, sha256($salt || ':' || p.prediction_id) < $below_random AS random FROM ({members}) AS p)
