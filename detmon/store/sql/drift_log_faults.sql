-- Whether Parquet that is read where it lies holds a record that ingest would not take as it is.
SELECT coalesce(bool_or(
  model_id IS NULL OR ts IS NULL OR detections IS NULL OR image_id IS NULL OR n_detections > 65535
  OR trim(image_id) = '' OR strlen(image_id) > 512 OR regexp_matches(image_id, '[[:cntrl:]\x{80}-\x{9f}]')
  OR status NOT IN ('ok', 'error') OR cardinality(tags) > 32
  OR array_length(list_filter(confidences, lambda c: NOT (c >= 0 AND c <= 1))) > 0
), false) OR min(ts) < TIMESTAMP '2000-01-01' OR max(ts) > $now + INTERVAL 1 DAY AS faulty
FROM predictions
