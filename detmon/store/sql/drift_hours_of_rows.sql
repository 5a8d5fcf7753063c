-- The same as drift_hours, from the rows.
SELECT date_trunc('hour', ts) AS hour, coalesce(source, '') AS source, count(*) FILTER (ok) AS images,
  count(*) FILTER (NOT ok) AS errors, CAST(coalesce(sum(micro) FILTER (ok), 0) AS BIGINT) AS micro,
  CAST(coalesce(sum(confidence_n) FILTER (ok), 0) AS BIGINT) AS scored,
  min(ts) AS first, max(ts) AS last, min(confidence_floor) AS floor_min, max(confidence_floor) AS floor_max,
  bool_or(batch_id IN (SELECT batch_id FROM batches WHERE denominator = 'unknown')) AS unknown
FROM (
  SELECT ts, source, confidence_floor, confidence_n, batch_id, status IS DISTINCT FROM 'error' AS ok,
    CAST(round(confidence_sum * 1e6) AS BIGINT) AS micro
  FROM predictions
  WHERE ts >= $start AND ts < $end AND ($model IS NULL OR model_id = $model)
    AND ($source IS NULL OR coalesce(source, '') = $source))
GROUP BY ALL
