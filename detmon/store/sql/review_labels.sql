SELECT DISTINCT label FROM rollup_classes WHERE model_id IN (SELECT unnest($models))
