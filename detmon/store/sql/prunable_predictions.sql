-- The rows that may go: older than $before (or what holds for their model instead), without items and feedback, and not the
-- newest of their model and source, which tells how old its data are.
CREATE TEMP TABLE prunable AS
SELECT p.rowid AS row, p.model_id
FROM predictions AS p
LEFT JOIN (SELECT model_id, source, max(ts_max) AS newest FROM rollup_images GROUP BY ALL) AS s
  ON s.model_id = p.model_id AND s.source IS NOT DISTINCT FROM p.source AND s.newest = p.ts
LEFT JOIN (SELECT unnest($models::VARCHAR[]) AS model_id, unnest($limits::TIMESTAMP[]) AS before) AS l
  ON l.model_id = p.model_id
WHERE p.ts < $before AND p.ts < coalesce(l.before, $before) AND s.newest IS NULL
  AND p.prediction_id NOT IN (SELECT prediction_id FROM items)
  AND p.prediction_id NOT IN (SELECT prediction_id FROM feedback)
