-- The first and the last image of a model, of those until now.
SELECT min(ts_min), max(ts_max) FROM rollup_images WHERE model_id = $model AND ts_min <= $now
