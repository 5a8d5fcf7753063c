-- The windows in which some image of the model has a verdict.
WITH windows AS (SELECT unnest($starts) AS window_start, unnest($ends) AS window_end)
SELECT window_start, window_end FROM windows
WHERE EXISTS (SELECT 1 FROM feedback f
  WHERE NOT f.waiting AND f.model_id = $model AND f.predicted_at >= window_start AND f.predicted_at < window_end)
