-- The instant before which rows of a model are gone.
SELECT before FROM pruned WHERE model_id = $model
