-- What the rollups hold of each model that has images. `unknown`: images of logs that may lack those without detections.
SELECT model_id, sum(images)::BIGINT, sum(errors)::BIGINT, sum(empty)::BIGINT, sum(n)::BIGINT, sum(confidence_n)::BIGINT,
  sum(latency_n)::BIGINT, coalesce(sum(images) FILTER (b.denominator = 'unknown'), 0)::BIGINT,
  min(r.ts_min), max(r.ts_max), coalesce(sum(nn) * (sum(images) - sum(errors)) = sum(n) * sum(n), false)
FROM rollup_images AS r JOIN batches AS b USING (batch_id)
WHERE $model IS NULL OR model_id = $model
GROUP BY model_id ORDER BY model_id
