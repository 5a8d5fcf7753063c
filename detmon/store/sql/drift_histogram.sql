-- Images by number of detections (kind count), or detections by confidence, in places made of hours, from the rollups.
SELECT key, bin, CAST(sum(n) AS BIGINT) AS n
FROM rollup_histograms JOIN (SELECT unnest($hours) AS hour, unnest($places) AS key) USING (hour)
WHERE kind = $kind AND model_id = $model AND hour >= $start AND hour < $end
GROUP BY ALL
