-- The boxes of the predictions `wanted`, in the log's order; those without coordinates are left out.
WITH boxes AS (
  SELECT w.place, p.prediction_id, unnest(p.detections) AS d, unnest(range(array_length(p.detections))) AS n
  FROM predictions p JOIN wanted w ON w.prediction_id = p.prediction_id AND w.ts = p.ts
  WHERE p.model_id = $model AND p.ts >= $start AND p.ts < $end)
SELECT place, CAST(n AS INTEGER) AS detection_index, d.label AS label, d.confidence AS confidence,
  d.x AS x, d.y AS y, d.w AS w, d.h AS h
FROM boxes WHERE d.x IS NOT NULL AND d.y IS NOT NULL AND d.w IS NOT NULL AND d.h IS NOT NULL
ORDER BY place, n
