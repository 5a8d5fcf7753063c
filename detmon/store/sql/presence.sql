-- What each window holds of the whole store and of one model, whatever the label set.
WITH windows AS (SELECT unnest($starts) AS window_start, unnest($ends) AS window_end)
SELECT window_start, window_end, count(*) AS stored, count(*) FILTER (r.model_id = $model) AS logged,
  coalesce(bool_or(r.unknown) FILTER (r.model_id = $model), false) AS unknown_denominator
FROM windows JOIN (
  SELECT ts, model_id, batch_id IN (SELECT batch_id FROM batches WHERE denominator = 'unknown') AS unknown
  FROM predictions WHERE ts >= $first AND ts < $last
) AS r ON r.ts >= window_start AND r.ts < window_end
GROUP BY ALL
