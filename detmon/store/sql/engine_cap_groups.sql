-- The new groups of a stage. `tau`: the share that is kept. `cut` lies between the last bucket that is kept and the first
-- that is not, so that its expected value is tau: a row that comes later is kept with that probability.
INSERT INTO new_caps
SELECT $stage AS stage, group_key, least(1.0, $k / CAST(count(*) AS DOUBLE)) AS tau,
  CASE WHEN count(*) <= $k THEN 1.0
    ELSE max(v) FILTER (WHERE place = $k) * (1 - $k / CAST(count(*) AS DOUBLE))
      + max(v) FILTER (WHERE place = $k + 1) * ($k / CAST(count(*) AS DOUBLE)) END AS cut
FROM ranked WHERE known_tau IS NULL GROUP BY group_key
