-- Confidences of a model by source, in the bins of the rollups. Reads every box: only where something seems to have moved.
SELECT source, least(floor(confidence::DOUBLE * 1e6 + 0.5) // 1000, 999)::INTEGER AS bin, count(*)
FROM (
  SELECT source, unnest(detections).confidence AS confidence
  FROM predictions WHERE model_id = $model_id AND ts BETWEEN $start AND $end AND status <> 'error')
WHERE confidence IS NOT NULL
GROUP BY ALL
