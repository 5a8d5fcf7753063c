-- Each source of a model in the 28 days before $end: the hours in which it was seen, the longest pause, its last image.
SELECT source, count(*), coalesce(max(pause), 0), max(last)
FROM (
  SELECT source, hour, max(ts_max) AS last, date_diff('hour', lag(hour) OVER (PARTITION BY source ORDER BY hour), hour) AS pause
  FROM rollup_images
  WHERE model_id = $model AND source IS NOT NULL AND hour BETWEEN $end - INTERVAL 28 DAY AND $end
  GROUP BY source, hour)
GROUP BY source ORDER BY source
