-- What the whole hours of a period hold: boxes by label, confidences in 20 bins, images by number of boxes.
WITH cells AS (
  SELECT 'class' AS kind, label AS key, detections AS n, batch_id FROM rollup_classes
  WHERE model_id = $model AND hour >= $start AND hour + INTERVAL 1 HOUR <= $end
  UNION ALL
  SELECT kind, CAST(CASE WHEN kind = 'confidence' THEN bin // 50 ELSE bin END AS VARCHAR), n, batch_id
  FROM rollup_histograms
  WHERE model_id = $model AND kind IN ('confidence', 'count') AND hour >= $start AND hour + INTERVAL 1 HOUR <= $end)
SELECT kind, key, sum(n) AS n, bool_or(denominator = 'unknown') AS unknown_denominator
FROM cells JOIN batches USING (batch_id) GROUP BY kind, key
