-- The version of each remote object that was read to its end last, and whether images without detections may be missing.
SELECT path, arg_max(version, batch_id), bool_or(denominator = 'unknown' AND n_ok > 0)
FROM batches WHERE complete AND version IS NOT NULL GROUP BY path
