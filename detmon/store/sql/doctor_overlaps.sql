-- Images of each model in which some box lies on another.
SELECT model_id, count(*) FROM predictions WHERE max_iou > 0.95 AND ($model IS NULL OR model_id = $model) GROUP BY model_id
