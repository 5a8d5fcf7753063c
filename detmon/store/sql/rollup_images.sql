-- Moments an hour, model, source and denominator of `rows` (predictions with their batch's denominator).
SELECT hour, model_id, source, denominator,
  count(*) AS images, count(*) - count(n) AS errors, count(*) FILTER (WHERE n = 0) AS empty,
  coalesce(sum(n), 0) AS n, coalesce(sum(n * n), 0) AS nn,
  coalesce(sum(s), 0) AS s, coalesce(sum(CAST(s AS HUGEINT) * s), 0) AS ss, coalesce(sum(n * s), 0) AS ns,
  coalesce(sum(confidence_n), 0) AS confidence_n,
  count(latency) AS latency_n, coalesce(sum(latency), 0) AS latency_s,
  coalesce(sum(CAST(latency AS HUGEINT) * latency), 0) AS latency_ss,
  min(ts) AS ts_min, max(ts) AS ts_max, min(confidence_floor) AS floor_min, max(confidence_floor) AS floor_max
FROM (
  SELECT date_trunc('hour', ts) AS hour, model_id, source, denominator, ts, confidence_floor,
    CASE WHEN status = 'error' THEN NULL ELSE CAST(n_detections AS BIGINT) END AS n,
    CASE WHEN status = 'error' THEN NULL ELSE CAST(confidence_n AS BIGINT) END AS confidence_n,
    CASE WHEN status = 'error' THEN NULL ELSE CAST(round(confidence_sum * 1e6) AS BIGINT) END AS s,
    CASE WHEN status = 'error' OR latency_ms IS NULL THEN NULL  -- least() takes no notice of NULL
      ELSE CAST(round(least(CAST(latency_ms AS DOUBLE), 1e12) * 1000) AS BIGINT) END AS latency
  FROM rows)
GROUP BY ALL
