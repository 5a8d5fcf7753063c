SELECT DISTINCT label FROM rollup_classes WHERE model_id = $model_id AND hour BETWEEN $start AND $end
