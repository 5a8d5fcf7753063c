-- A few images of a model in a window, of one source, with one label and some tags where these are given: those with the
-- lowest confidence, the longest latency or the fewest boxes first, else the newest.
SELECT image_id, image_uri FROM predictions
WHERE model_id = $model AND ts >= $start AND ts < $end
  AND ($source IS NULL OR coalesce(source, '') = $source)
  AND ($label IS NULL OR list_contains(list_transform(detections, lambda d: d.label), $label))
  AND coalesce(
    list_bool_and(list_transform($tags::STRUCT(k VARCHAR, v VARCHAR)[], lambda t: coalesce(tags[t.k], '') = t.v)), true)
ORDER BY
  CASE $order WHEN 'confidence' THEN confidence_min WHEN 'latency' THEN -latency_ms WHEN 'boxes' THEN n_detections END
    NULLS LAST,
  ts DESC, image_id
LIMIT $most
