-- The newest image of each label set of one model before a whole hour, from the rollups.
-- The braces take constants of detmon.metrics, never values.
SELECT [{keys}] AS labels, max(ts_max) AS newest FROM rollup_images
WHERE model_id = $model AND hour < $first AND {conditions}
GROUP BY ALL
HAVING newest IS NOT NULL
