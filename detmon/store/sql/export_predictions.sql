-- The log as it came, under the names of a canonical log.
SELECT prediction_id, model_id, ts AS timestamp, image_id, image_uri, source, image_width, image_height, latency_ms, status,
  confidence_floor, tags, list_transform(detections, lambda d: {label: d.label, confidence: d.confidence,
    bbox: CASE WHEN d.x IS NULL OR d.y IS NULL OR d.w IS NULL OR d.h IS NULL THEN NULL
      ELSE {x: d.x, y: d.y, w: d.w, h: d.h} END,
    detection_id: d.detection_id, track_id: d.track_id}) AS detections
FROM predictions
WHERE ts >= $start AND ts < $end AND ($model IS NULL OR model_id = $model)
ORDER BY ts
