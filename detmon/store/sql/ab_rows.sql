-- The rows of a comparison: whose arm, in which slot (day or hour since the start), which unit, and what counts.
-- A latency counts as 50 minutes at most: squares of microseconds then fit.
-- The braces take constants of detmon.ab_tests.reading.
SELECT model_id = $b AS b, CAST(date_diff('microsecond', $start, ts) // $slot AS INTEGER) AS slot, source, image_id,
  {unit} AS unit, CAST(1 AS BIGINT) AS rows, CAST(ok AS BIGINT) AS images, CAST(NOT ok AS BIGINT) AS errors,
  CASE WHEN ok THEN {detections} ELSE 0 END AS detections, CASE WHEN ok THEN {scored} ELSE 0 END AS scored,
  CASE WHEN ok THEN {confidence} ELSE 0 END AS confidence, CAST(ok AND {detections} = 0 AS BIGINT) AS empty,
  CASE WHEN ok THEN {low} ELSE 0 END AS low,
  CASE WHEN ok AND latency_ms IS NOT NULL
    THEN CAST(round(least(CAST(latency_ms AS DOUBLE), 3e6) * 1000) AS BIGINT) END AS latency,
  confidence_floor, {unknown} AS unknown_denominator
FROM (
  SELECT *, status IS DISTINCT FROM 'error' AS ok
  FROM predictions WHERE model_id IN ($a, $b) AND ts >= $start AND ts < $until {days})
