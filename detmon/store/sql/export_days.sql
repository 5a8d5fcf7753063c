-- The days of UTC that have predictions.
SELECT DISTINCT CAST(ts AS DATE) AS day FROM predictions
WHERE ts >= $start AND ts < $end AND ($model IS NULL OR model_id = $model) ORDER BY day
