-- The rows of a check in the order of their sources, in the place of the store's: each source is then read alone.
CREATE TEMP TABLE predictions AS
SELECT prediction_id, model_id, ts, source, status, confidence_floor, n_detections, confidence_n, confidence_sum, batch_id,
  list_transform(detections, lambda d: {'label': d.label, 'confidence': d.confidence}) AS detections
FROM predictions
WHERE ts >= $start AND ts < $end AND ($model IS NULL OR model_id = $model)
ORDER BY coalesce(source, ''), ts
