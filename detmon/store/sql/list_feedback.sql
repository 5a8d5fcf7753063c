-- Verdicts, newest first, with whether they count and whether others on the same box disagree.
WITH page AS (
  SELECT * FROM feedback
  WHERE ($model IS NULL OR model_id = $model) AND ($prediction IS NULL OR prediction_id = $prediction)
    AND ($type IS NULL OR type = $type) AND ($waiting IS NULL OR waiting = $waiting)
    AND ($feedback IS NULL OR feedback_id = $feedback)
  ORDER BY ts DESC, seq DESC LIMIT $limit),
counting AS (
  SELECT seq FROM current_feedback WHERE prediction_id IN (SELECT prediction_id FROM page)),
boxes AS (
  SELECT prediction_id, detection_index FROM feedback
  WHERE NOT waiting AND detection_index IS NOT NULL AND prediction_id IN (SELECT prediction_id FROM page)
  GROUP BY prediction_id, detection_index
  HAVING count(DISTINCT concat_ws(':', type, CASE WHEN type = 'wrong_label' THEN true_label END)) > 1)
SELECT f.feedback_id, f.prediction_id, p.image_id, f.model_id, f.detection_index, f.detection, f.type, f.label,
  round(CAST(f.confidence AS DOUBLE), 6) AS confidence, f.true_label,
  CASE WHEN f.x IS NOT NULL THEN list_transform([f.x, f.y, f.w, f.h], lambda s: round(CAST(s AS DOUBLE), 4)) END AS bbox,
  f.scope, f.reviewer, f.origin, f.tide, f.reason, f.ts, f.waiting, c.seq IS NOT NULL AS current,
  b.prediction_id IS NOT NULL AS disputed
FROM page f LEFT JOIN counting c ON c.seq = f.seq
  LEFT JOIN predictions p ON p.prediction_id = f.prediction_id AND p.ts = f.predicted_at
  LEFT JOIN boxes b ON b.prediction_id = f.prediction_id AND b.detection_index = f.detection_index
ORDER BY f.ts DESC, f.seq DESC
