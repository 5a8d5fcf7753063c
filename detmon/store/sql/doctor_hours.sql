-- The hours of the rollups that have all their rows, newest first, with their images.
SELECT hour, sum(images)::BIGINT FROM rollup_images AS r
WHERE NOT EXISTS (SELECT 1 FROM pruned AS x WHERE x.model_id = r.model_id AND r.hour < x.before)
GROUP BY hour ORDER BY hour DESC
