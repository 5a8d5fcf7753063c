-- Whether it may hold a record twice (hashes meet).
SELECT sum(n) > count(*) FROM (
  SELECT count(*) AS n FROM predictions
  GROUP BY CASE WHEN logged_id IS NULL THEN hash(model_id, source, image_id, ts) ELSE hash(logged_id) END)
