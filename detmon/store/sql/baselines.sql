SELECT model_id, period, period_start, period_end, metrics, created_at FROM baselines
WHERE $model IS NULL OR model_id = $model ORDER BY model_id
