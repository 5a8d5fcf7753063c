-- Detections a label and hour, from the rollups.
SELECT hour, label, detections AS n FROM rollup_classes WHERE model_id = $model AND hour >= $start AND hour < $end
