-- The predictions of a model and period, by image.
SELECT prediction_id, ts, image_id, source, image_width, image_height FROM predictions
WHERE model_id = $model AND ts >= $start AND ts < $end AND coalesce(status, 'ok') = 'ok'
ORDER BY image_id, ts, prediction_id
