-- The predictions of `rows` that are selected: a bucket below the highest rate among the strategies whose condition holds.
-- The braces take constants of detmon.data_engine, never values.
SELECT prediction_id, ts, source, batch_id, rate AS probability, {reasons} AS reasons
FROM (SELECT *, {bucket} AS u FROM (SELECT *, {rate} AS rate FROM ({rows})) WHERE rate > 0)
WHERE u < rate
