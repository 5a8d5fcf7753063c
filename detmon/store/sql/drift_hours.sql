-- What a model logged in each hour and source, from the rollups. Rows with status error have times and floors, too.
SELECT hour, coalesce(source, '') AS source, CAST(sum(images - errors) AS BIGINT) AS images,
  CAST(sum(errors) AS BIGINT) AS errors, CAST(sum(s) AS BIGINT) AS micro,
  CAST(sum(confidence_n) AS BIGINT) AS scored, min(ts_min) AS first, max(ts_max) AS last,
  min(floor_min) AS floor_min, max(floor_max) AS floor_max,
  bool_or(batch_id IN (SELECT batch_id FROM batches WHERE denominator = 'unknown')) AS unknown
FROM rollup_images WHERE model_id = $model AND hour >= $start AND hour < $end
GROUP BY ALL
