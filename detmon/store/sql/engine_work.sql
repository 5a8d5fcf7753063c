-- The stretches that no run of the engine has scanned: batches, each from where the last run stopped up to $until.
SELECT b.batch_id, coalesce(s.last, b.ts_min) AS first, least(b.ts_max + INTERVAL 1 MICROSECOND, $until) AS last
FROM batches b LEFT JOIN (
  SELECT batch_id, max(last) AS last FROM engine_scans WHERE engine_id = $engine AND NOT again GROUP BY batch_id
) AS s USING (batch_id)
WHERE b.ts_min IS NOT NULL AND coalesce(s.last, b.ts_min) < least(b.ts_max + INTERVAL 1 MICROSECOND, $until)
ORDER BY b.batch_id
