-- The newest hour, not after now, in which the model logged boxes.
SELECT max(hour) FROM rollup_classes WHERE model_id = $model AND hour <= $now
