-- What the rollups hold of each registered model.
-- `predictions` counts all that were taken, `pruned` those of them whose rows are gone.
SELECT m.id, coalesce(i.predictions, 0), coalesce(i.detections, 0), coalesce(i.sources, 0), coalesce(c.classes, 0),
  coalesce(p.predictions, 0), p.before, i.ts_min, i.ts_max
FROM models AS m
LEFT JOIN (
  SELECT model_id, sum(images)::BIGINT AS predictions, sum(n)::BIGINT AS detections, count(DISTINCT source) AS sources,
    min(ts_min) AS ts_min, max(ts_max) AS ts_max
  FROM rollup_images GROUP BY model_id) AS i ON i.model_id = m.id
LEFT JOIN (
  SELECT model_id, count(DISTINCT label) AS classes FROM rollup_classes GROUP BY model_id) AS c ON c.model_id = m.id
LEFT JOIN pruned AS p ON p.model_id = m.id
ORDER BY m.id
