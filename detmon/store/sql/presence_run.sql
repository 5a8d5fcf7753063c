-- What each of $count windows at equal distances holds of the whole store and of one model; `place` counts the windows.
SELECT place, count(*) AS stored, count(*) FILTER (model_id = $model) AS logged,
  coalesce(bool_or(unknown) FILTER (model_id = $model), false) AS unknown_denominator
FROM (
  SELECT model_id, batch_id IN (SELECT batch_id FROM batches WHERE denominator = 'unknown') AS unknown,
    unnest(range(
      greatest(0, (epoch_us(ts) - $origin - $length + $step) // $step),
      least($count, (epoch_us(ts) - $origin) // $step + 1))) AS place
  FROM predictions WHERE ts >= $first AND ts < $last
)
GROUP BY place
