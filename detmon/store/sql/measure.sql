-- Aggregates of one model's rows in each window and label set.
-- The braces take constants of detmon.metrics and the administrator's metric definitions, never values.
WITH windows AS (SELECT unnest($starts) AS window_start, unnest($ends) AS window_end)
SELECT window_start, window_end, [{keys}] AS labels, {aggregates}
FROM windows JOIN (
  SELECT *, {unknown} AS unknown_denominator FROM {rows}
  WHERE model_id = $model AND ts >= $first AND ts < $last AND {conditions}
) AS r ON r.ts >= window_start AND r.ts < window_end
GROUP BY ALL
