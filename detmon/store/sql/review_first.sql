-- The time of the first image of a model that has a verdict.
SELECT min(predicted_at) FROM feedback WHERE NOT waiting AND model_id = $model
