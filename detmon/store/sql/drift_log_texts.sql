-- The labels and model ids it holds.
SELECT DISTINCT unnest(list_transform(detections, lambda d: d.label)) AS text FROM predictions
UNION
SELECT DISTINCT model_id FROM predictions
