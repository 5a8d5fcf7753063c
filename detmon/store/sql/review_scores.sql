-- Served boxes of a period by label, confidence and whether the engine scanned their image.
SELECT d.label AS label, CAST(round(CAST(d.confidence AS DOUBLE) * 1e6) AS DOUBLE) / 1e6 AS confidence, scanned, count(*) AS boxes
FROM (
  SELECT unnest(list_transform(detections, lambda d: {label: d.label, confidence: d.confidence})) AS d,
    EXISTS (SELECT 1 FROM engine_scans s
      WHERE s.engine_id = $engine AND s.batch_id = p.batch_id AND p.ts >= s.first AND p.ts < s.last) AS scanned
  FROM predictions p
  WHERE model_id = $model AND ts >= $start AND ts < $end AND status IS DISTINCT FROM 'error'
    AND n_detections > 0)
WHERE d.confidence IS NULL OR d.confidence >= coalesce($floor, 0)
GROUP BY ALL ORDER BY label, confidence, scanned
