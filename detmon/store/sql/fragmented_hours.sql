-- Hours whose rollups are scattered over many batches.
SELECT hour FROM rollup_images WHERE hour BETWEEN date_trunc('hour', $start) AND $end
GROUP BY hour HAVING count(DISTINCT batch_id) >= $fragments ORDER BY hour
