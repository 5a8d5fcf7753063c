-- How rows arrived that were stored since $since, but for whole days at once: the seconds in which 95 % were there after
-- their time, the loads and the stretch of time of both, and how many rows came after newer ones.
WITH mine AS (
  SELECT p.model_id, p.batch_id, p.ts, b.loaded_at
  FROM predictions AS p JOIN batches AS b USING (batch_id)
  WHERE b.loaded_at >= $since AND p.ts >= $since AND b.ts_max - b.ts_min <= INTERVAL 26 HOUR
    AND ($model IS NULL OR p.model_id = $model)),
before AS (
  SELECT model_id, batch_id,
    max(max(ts)) OVER (PARTITION BY model_id ORDER BY batch_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS newest
  FROM mine GROUP BY model_id, batch_id)
SELECT m.model_id, count(*), count(*) FILTER (m.ts < b.newest), quantile_cont(epoch(m.loaded_at) - epoch(m.ts), 0.95),
  count(DISTINCT m.loaded_at), epoch(max(m.loaded_at)) - epoch(min(m.loaded_at)), epoch(max(m.ts)) - epoch(min(m.ts))
FROM mine AS m JOIN before AS b ON b.model_id = m.model_id AND b.batch_id = m.batch_id
GROUP BY m.model_id
