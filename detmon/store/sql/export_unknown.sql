-- How many of the exported predictions are of logs that leave out images without detections.
SELECT count(*) FROM predictions JOIN batches USING (batch_id)
WHERE ts >= $start AND ts < $end AND ($model IS NULL OR model_id = $model) AND denominator = 'unknown'
