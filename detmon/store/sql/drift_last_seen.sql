-- The last row of each source between two instants, by the rollups.
SELECT coalesce(source, '') AS source, max(ts_max) FROM rollup_images
WHERE model_id = $model AND hour >= date_trunc('hour', $start) AND hour < $end
GROUP BY ALL
