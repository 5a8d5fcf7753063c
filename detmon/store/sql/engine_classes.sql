-- Boxes of each label in whole hours.
SELECT label, CAST(sum(detections) AS BIGINT) AS n FROM rollup_classes
WHERE model_id = $model AND hour >= $start AND hour < $end GROUP BY label
