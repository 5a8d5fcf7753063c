-- The verdicts that count, on boxes and missed objects of the images of `review_images`; a wrong box whose corrected one
-- overlaps it by at least $iou is a correct one.
WITH verdicts AS (
  SELECT i.image, f.seq, f.detection_index, f.type, f.true_label, f.label, f.confidence, f.reason, f.tide,
    i.detections[f.detection_index + 1] AS box, f.x, f.y, f.w, f.h
  FROM current_feedback f JOIN review_images i ON i.prediction_id = f.prediction_id AND i.ts = f.predicted_at
  WHERE f.model_id = $model AND f.predicted_at >= $start AND f.predicted_at < $end
    AND (f.detection_index IS NOT NULL OR f.type = 'missed_object')),
shared AS (
  SELECT *, greatest(0, least(CAST(x AS DOUBLE) + w, CAST(box.x AS DOUBLE) + box.w) - greatest(x, box.x))
    * greatest(0, least(CAST(y AS DOUBLE) + h, CAST(box.y AS DOUBLE) + box.h) - greatest(y, box.y)) AS overlap
  FROM verdicts),
typed AS (
  SELECT *, CASE WHEN type = 'wrong_box'
    AND overlap >= $iou * (CAST(w AS DOUBLE) * h + CAST(box.w AS DOUBLE) * box.h - overlap) - 1e-9
    THEN 'correct' ELSE type END AS kind
  FROM shared)
SELECT image, list_position($kinds, kind) - 1 AS kind, label,
  CASE WHEN kind IN ('correct', 'wrong_box') THEN coalesce(true_label, label) ELSE true_label END AS true_label,
  CAST(round(CAST(confidence AS DOUBLE) * 1e6) AS DOUBLE) / 1e6 AS confidence, reason, tide
FROM typed ORDER BY image, detection_index, seq
