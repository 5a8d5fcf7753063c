-- Rows loaded since the last check, by model: how many lay behind a slot that was evaluated by then, their lag in seconds
-- (95th percentile), and how many are of the future.
SELECT p.model_id, count(*) AS loaded, count(*) FILTER (p.ts < e.slot) AS late,
  quantile_cont(CAST(epoch(b.loaded_at) - epoch(p.ts) AS DOUBLE), 0.95) AS lag,
  count(*) FILTER (p.ts > $future) AS ahead
FROM predictions AS p
JOIN batches AS b ON b.batch_id = p.batch_id AND b.loaded_at > $since AND b.loaded_at <= $now
JOIN (SELECT unnest($models::VARCHAR[]) AS model_id, unnest($slots::TIMESTAMP[]) AS slot) AS e ON e.model_id = p.model_id
WHERE p.batch_id >= (SELECT min(batch_id) FROM batches WHERE loaded_at > $since)
GROUP BY p.model_id
ORDER BY p.model_id
