-- The engines, and when each last scanned.
SELECT e.model_id, d.name, e.config, max(s.scanned_at)
FROM engines AS e JOIN datasets AS d ON d.id = e.dataset_id LEFT JOIN engine_scans AS s USING (engine_id)
WHERE e.removed_at IS NULL AND ($model IS NULL OR e.model_id = $model)
GROUP BY ALL ORDER BY ALL
