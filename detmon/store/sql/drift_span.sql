-- The first and the last ok row of a window.
SELECT min(ts), max(ts) FROM predictions
WHERE ts >= $start AND ts < $end AND status IS DISTINCT FROM 'error' AND ($model IS NULL OR model_id = $model)
  AND ($source IS NULL OR coalesce(source, '') = $source)
