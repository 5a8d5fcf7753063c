-- Detections by confidence, and the sum of their millionths, a place or source.
SELECT key, least(999, micro // 1000) AS bin, count(*) AS n, CAST(sum(micro) AS BIGINT) AS micro
FROM (
  SELECT {key} AS key,
    CAST(round(CAST(unnest(list_transform(detections, lambda d: d.confidence)) AS DOUBLE) * 1e6) AS BIGINT) AS micro
  FROM ({rows}))
WHERE micro IS NOT NULL GROUP BY ALL
