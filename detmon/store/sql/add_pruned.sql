-- Remembers up to when rows of a model are gone, and how many.
INSERT INTO pruned(model_id, before, predictions) VALUES ($model, $before, $gone)
ON CONFLICT (model_id) DO UPDATE SET before = greatest(before, excluded.before), predictions = predictions + excluded.predictions
