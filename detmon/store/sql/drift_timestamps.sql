-- How many different timestamps the ok rows of a window have.
SELECT count(DISTINCT ts) FROM predictions
WHERE ts >= $start AND ts < $end AND status IS DISTINCT FROM 'error' AND ($model IS NULL OR model_id = $model)
  AND ($source IS NULL OR coalesce(source, '') = $source)
