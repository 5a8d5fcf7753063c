-- The labels of a model by day.
SELECT label, date_trunc('day', hour) AS day, sum(detections)::BIGINT
FROM rollup_classes WHERE model_id = $model GROUP BY ALL ORDER BY day, label
