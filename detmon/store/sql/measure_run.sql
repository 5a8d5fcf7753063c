-- Aggregates of one model's rows in each of $count windows at equal distances, and label set; `place` counts the windows.
-- Each row says which windows it is in: a join with thousands of windows takes 40 times as long.
-- Where windows lie apart, rows between them are left out first: of the same hour of 28 days, 27 of 28 rows.
-- The braces take constants of detmon.metrics and the administrator's metric definitions, never values.
SELECT place, [{keys}] AS labels, {aggregates}
FROM (
  SELECT *, {unknown} AS unknown_denominator,
    unnest(range(
      greatest(0, (epoch_us(ts) - $origin - $length + $step) // $step),
      least($count, (epoch_us(ts) - $origin) // $step + 1))) AS place
  FROM {rows}
  WHERE model_id = $model AND ts >= $first AND ts < $last AND (epoch_us(ts) - $origin) % $step < $length AND {conditions}
)
GROUP BY ALL
