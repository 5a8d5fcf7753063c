-- Images selected by chance, and of these the reviewed ones, by inclusion probability and source.
SELECT i.inclusion_probability AS pi, coalesce(p.source, '') AS source, count(*) AS selected,
  count(*) FILTER (r.complete) AS complete, count(*) FILTER (r.exhaustive) AS exhaustive
FROM items i JOIN predictions p ON p.prediction_id = i.prediction_id AND p.ts = i.ts AND p.model_id = i.model_id
  LEFT JOIN review_images r ON r.prediction_id = i.prediction_id
WHERE i.dataset_id = $dataset AND i.model_id = $model AND i.ts >= $start AND i.ts < $end
  AND i.estimable AND i.inclusion_probability > 0 AND p.status IS DISTINCT FROM 'error'
GROUP BY ALL ORDER BY pi, source
