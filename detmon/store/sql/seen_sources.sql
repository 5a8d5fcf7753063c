-- The contents that were read to their end before, and whether images without detections may still be missing from what
-- is stored (and could be supplied: none of the rows is pruned).
SELECT sha256, bool_or(denominator = 'unknown' AND n_ok > 0)
  AND bool_and(ts_min IS NULL OR ts_min >= coalesce((SELECT max(before) FROM pruned), TIMESTAMP '0001-01-01'))
FROM batches WHERE sha256 IS NOT NULL GROUP BY sha256 HAVING bool_or(complete)
