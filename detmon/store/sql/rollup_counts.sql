-- Histograms of what an image has once (its number of boxes, its latency), from `rows`.
SELECT date_trunc('hour', ts) AS hour, model_id, denominator, 'count' AS kind,
  CAST(least(65, n_detections) AS INTEGER) AS bin, count(*) AS n
FROM rows WHERE status IS DISTINCT FROM 'error' GROUP BY ALL
UNION ALL
SELECT date_trunc('hour', ts) AS hour, model_id, denominator, 'latency' AS kind,
  CAST(ceil(ln(greatest(CAST(latency_ms AS DOUBLE), 0.001)) / ln(1.02)) AS INTEGER) AS bin, count(*) AS n
FROM rows WHERE status IS DISTINCT FROM 'error' AND latency_ms IS NOT NULL GROUP BY ALL
