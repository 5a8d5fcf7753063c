-- The engines of a model, with the items that each selected by chance in a period; the one with the most reviewed first.
SELECT e.engine_id, d.id AS dataset_id, d.name AS dataset, count(i.item_id) AS selected
FROM engines e JOIN datasets d ON d.id = e.dataset_id
  LEFT JOIN items i ON i.dataset_id = d.id AND i.model_id = e.model_id AND i.estimable AND i.inclusion_probability > 0
    AND i.ts >= $start AND i.ts < $end
  LEFT JOIN (SELECT DISTINCT prediction_id FROM feedback
    WHERE NOT waiting AND model_id = $model AND predicted_at >= $start AND predicted_at < $end) f USING (prediction_id)
WHERE e.model_id = $model
GROUP BY ALL
ORDER BY count(f.prediction_id) DESC, selected DESC, dataset
