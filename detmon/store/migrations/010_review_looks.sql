-- A look at boxes only says nothing of the rest of the image: it leaves earlier missed objects as they are. Whatever its
-- scope, a reviewer's look replaces what the same reviewer said before.
CREATE OR REPLACE VIEW current_feedback AS
  SELECT * EXCLUDE (place, looked_at, reviewed_at) FROM (
    SELECT *,
      row_number() OVER (PARTITION BY model_id, predicted_at, prediction_id, detection_index, type = 'missed_object'
        ORDER BY ts DESC, seq DESC) AS place,
      max(ts) FILTER (WHERE origin IN ('match', 'review') AND scope = 'exhaustive')
        OVER (PARTITION BY model_id, predicted_at, prediction_id) AS looked_at,
      max(ts) FILTER (WHERE origin = 'review')
        OVER (PARTITION BY model_id, predicted_at, prediction_id, reviewer) AS reviewed_at
    FROM feedback WHERE NOT waiting)
  WHERE (place = 1 OR type = 'missed_object')
    AND (looked_at IS NULL OR ts >= looked_at OR (detection_index IS NOT NULL AND origin NOT IN ('match', 'review')))
    AND (origin <> 'review' OR ts >= reviewed_at);
