-- The same of each window, from the rows.
WITH windows AS (SELECT unnest($starts) AS window_start, unnest($ends) AS window_end),
rows AS (
  SELECT window_start, window_end, detections, n_detections,
    batch_id IN (SELECT batch_id FROM batches WHERE denominator = 'unknown') AS unknown_denominator
  FROM windows JOIN predictions p ON p.ts >= window_start AND p.ts < window_end
  WHERE model_id = $model AND ts >= $first AND ts < $last AND status IS DISTINCT FROM 'error'),
boxes AS (
  SELECT window_start, window_end, unknown_denominator,
    unnest(list_transform(detections, lambda d: {label: d.label, confidence: d.confidence})) AS d
  FROM rows),
cells AS (
  SELECT window_start, window_end, unknown_denominator, 'class' AS kind, d.label AS key FROM boxes
  UNION ALL
  SELECT window_start, window_end, unknown_denominator, 'confidence',
    CAST(least(999, CAST(round(CAST(d.confidence AS DOUBLE) * 1e6) AS BIGINT) // 1000) // 50 AS VARCHAR)
  FROM boxes WHERE d.confidence IS NOT NULL
  UNION ALL
  SELECT window_start, window_end, unknown_denominator, 'count', CAST(least(65, n_detections) AS VARCHAR) FROM rows)
SELECT window_start, window_end, kind, key, count(*) AS n, bool_or(unknown_denominator) AS unknown_denominator
FROM cells GROUP BY ALL
