-- Where the confidences of each day of a model begin, of how many boxes, and the floors that were logged.
WITH bins AS (
  SELECT date_trunc('day', hour) AS day, bin, sum(n)::BIGINT AS n
  FROM rollup_histograms WHERE model_id = $model AND kind = 'confidence' GROUP BY ALL),
counted AS (
  SELECT day, bin, n, sum(n) OVER (PARTITION BY day ORDER BY bin) AS up_to, sum(n) OVER (PARTITION BY day) AS scored
  FROM bins),
days AS (
  SELECT day, min(bin) / 1000 AS lowest, min(bin) FILTER (up_to >= 0.005 * scored) / 1000 AS edge, sum(n)::BIGINT AS scored
  FROM counted GROUP BY day)
SELECT i.day, d.lowest, d.edge, coalesce(d.scored, 0), i.floor_min, i.floor_max
FROM (
  SELECT date_trunc('day', hour) AS day, min(floor_min) AS floor_min, max(floor_max) AS floor_max
  FROM rollup_images WHERE model_id = $model GROUP BY ALL) AS i
LEFT JOIN days AS d ON d.day = i.day
ORDER BY i.day
