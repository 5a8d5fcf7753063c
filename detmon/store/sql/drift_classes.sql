-- Detections a label in places made of hours, from the rollups.
SELECT key, label, CAST(sum(detections) AS BIGINT) AS n
FROM rollup_classes JOIN (SELECT unnest($hours) AS hour, unnest($places) AS key) USING (hour)
WHERE model_id = $model AND hour >= $start AND hour < $end
GROUP BY ALL
