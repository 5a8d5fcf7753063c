-- Boxes and images a class, from `rows`: what ingest counts with arrays.
SELECT hour, model_id, denominator, label, sum(boxes) AS detections, count(*) AS images, sum(s) AS s, sum(ss) AS ss
FROM (
  SELECT hour, model_id, denominator, prediction_id, label, count(*) AS boxes,
    coalesce(sum(micro), 0) AS s, coalesce(sum(CAST(micro AS HUGEINT) * micro), 0) AS ss
  FROM (
    SELECT date_trunc('hour', ts) AS hour, model_id, denominator, prediction_id, d.label AS label,
      CAST(round(CAST(d.confidence AS DOUBLE) * 1e6) AS BIGINT) AS micro
    FROM (SELECT *, unnest(detections) AS d FROM rows WHERE status IS DISTINCT FROM 'error'))
  GROUP BY ALL)
GROUP BY ALL
