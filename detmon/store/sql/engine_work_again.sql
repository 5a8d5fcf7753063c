-- The stretches of all batches that lie in a period.
SELECT batch_id, greatest(ts_min, $start) AS first, least(ts_max + INTERVAL 1 MICROSECOND, $until) AS last
FROM batches WHERE greatest(ts_min, $start) < least(ts_max + INTERVAL 1 MICROSECOND, $until)
ORDER BY batch_id
