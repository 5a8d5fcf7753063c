-- Images selected by chance, and of these the reviewed ones, by inclusion probability and source: those with a served box
-- (the others say nothing of boxes), and all of them that were looked at as a whole.
SELECT i.inclusion_probability AS pi, coalesce(p.source, '') AS source,
  count(*) FILTER (p.served) AS served, count(*) FILTER (p.served AND r.complete) AS judged,
  count(*) AS selected, count(*) FILTER (r.exhaustive) AS looked_at
FROM items i JOIN (
    SELECT prediction_id, model_id, ts, source,
      n_detections > confidence_n OR (n_detections > 0 AND confidence_max >= coalesce($floor, 0)) AS served
    FROM predictions WHERE model_id = $model AND ts >= $start AND ts < $end AND status IS DISTINCT FROM 'error'
  ) AS p ON p.prediction_id = i.prediction_id AND p.ts = i.ts
  LEFT JOIN review_images r ON r.prediction_id = i.prediction_id
WHERE i.dataset_id = $dataset AND i.model_id = $model AND i.estimable AND i.inclusion_probability > 0
GROUP BY ALL ORDER BY pi, source
