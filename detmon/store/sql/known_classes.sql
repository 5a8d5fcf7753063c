-- The labels a model logged in the 28 days before each instant: whole hours from the rollups, the open hour from the rows.
WITH moments AS (SELECT unnest($starts) AS moment)
SELECT moment, list(DISTINCT label) AS labels FROM (
  SELECT moment, label FROM moments JOIN (
    SELECT hour, label FROM rollup_classes WHERE model_id = $model AND hour >= $first - INTERVAL 29 DAYS AND hour < $last
  ) AS c ON c.hour >= date_trunc('hour', moment - INTERVAL 28 DAYS) AND c.hour < date_trunc('hour', moment)
  UNION ALL
  SELECT moment, label FROM moments JOIN (
    SELECT ts, unnest(list_distinct(list_transform(detections, lambda d: d.label))) AS label FROM predictions
    WHERE model_id = $model AND ts >= date_trunc('hour', $first) AND ts < $last
  ) AS r ON r.ts >= date_trunc('hour', moment) AND r.ts < moment
)
GROUP BY moment
