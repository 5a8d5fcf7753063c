SELECT DISTINCT label FROM rollup_classes WHERE model_id = $model ORDER BY label
