-- What a period holds of a model: images, those with a served box, those that an engine scanned, those of them that had
-- any chance to be selected; its first and last time, and whether images without boxes are missing from the log.
SELECT count(*) AS images,
  count(*) FILTER (n_detections > confidence_n OR (n_detections > 0 AND confidence_max >= coalesce($floor, 0))) AS served,
  count(*) FILTER (EXISTS (SELECT 1 FROM engine_scans s
    WHERE s.engine_id = $engine AND s.batch_id = p.batch_id AND p.ts >= s.first AND p.ts < s.last)) AS scanned,
  count(*) FILTER (EXISTS (SELECT 1 FROM engine_scans s JOIN engine_revisions e USING (engine_id, revision)
    WHERE s.engine_id = $engine AND e.reaches_all
      AND s.batch_id = p.batch_id AND p.ts >= s.first AND p.ts < s.last)) AS reached,
  min(ts) AS first, max(ts) AS last,
  coalesce(bool_or(batch_id IN (SELECT batch_id FROM batches WHERE denominator = 'unknown')), false) AS unknown_denominator
FROM predictions p
WHERE model_id = $model AND ts >= $start AND ts < $end AND status IS DISTINCT FROM 'error'
