-- Histograms of what an image has once a box (confidence, area), from `rows`: what ingest counts with arrays.
SELECT date_trunc('hour', ts) AS hour, model_id, denominator, 'confidence' AS kind,
  CAST(least(999, micro // 1000) AS INTEGER) AS bin, count(*) AS n
FROM (
  SELECT ts, model_id, denominator,
    CAST(round(CAST(unnest(list_transform(detections, lambda d: d.confidence)) AS DOUBLE) * 1e6) AS BIGINT) AS micro
  FROM rows WHERE status IS DISTINCT FROM 'error')
WHERE micro IS NOT NULL GROUP BY ALL
UNION ALL
SELECT date_trunc('hour', ts) AS hour, model_id, denominator, 'area' AS kind,
  CAST(ceil(ln(greatest(area / pixels, 1e-6)) / ln(1.05)) AS INTEGER) AS bin, count(*) AS n
FROM (
  SELECT ts, model_id, denominator, CAST(image_width AS DOUBLE) * CAST(image_height AS DOUBLE) AS pixels,
    unnest(list_transform(detections, lambda d: CAST(d.w AS DOUBLE) * CAST(d.h AS DOUBLE))) AS area
  FROM rows WHERE status IS DISTINCT FROM 'error')
WHERE area / pixels IS NOT NULL GROUP BY ALL
