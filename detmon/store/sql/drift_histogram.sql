-- Images by number of detections (kind count), or detections by confidence, an hour, from the rollups.
SELECT hour, bin, n FROM rollup_histograms
WHERE kind = $kind AND model_id = $model AND hour >= $start AND hour < $end
