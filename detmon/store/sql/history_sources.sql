SELECT DISTINCT source FROM rollup_images WHERE model_id = $model_id AND hour BETWEEN $start AND $end
