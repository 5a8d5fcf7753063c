-- Images of a period without a served box that nobody marked, counted by source and quarter of an hour.
SELECT coalesce(source, '') AS source, CAST(floor(epoch(ts) / 900) AS BIGINT) AS slot, count(*) AS images
FROM predictions p
WHERE model_id = $model AND ts >= $start AND ts < $end AND status IS DISTINCT FROM 'error'
  AND NOT (n_detections > confidence_n OR (n_detections > 0 AND confidence_max >= coalesce($floor, 0)))
  AND NOT EXISTS (SELECT 1 FROM review_images r WHERE r.prediction_id = p.prediction_id)
GROUP BY ALL ORDER BY source, slot
