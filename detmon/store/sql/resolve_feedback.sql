-- What the predictions of the batches from `first_batch` on say to each row of `unresolved`: the place of its box (a verdict
-- on an image with one box is a verdict on that box), what was predicted there, and why the verdict cannot be. `vague`: it is
-- on an image as a whole that has several boxes.
CREATE TEMP TABLE resolved AS
WITH found AS (
  SELECT u.n, u.type, u.origin, u.true_label, u.detection, p.model_id, p.ts, p.n_detections, p.detections,
    CASE WHEN starts_with(u.detection, u.prediction_id || ':') THEN substr(u.detection, length(u.prediction_id) + 2)
      ELSE u.detection END AS named
  FROM unresolved u JOIN predictions p ON p.prediction_id = u.prediction_id AND p.batch_id >= $first_batch),
placed AS (
  SELECT *, CASE
    WHEN named IS NULL THEN CASE WHEN n_detections = 1 AND type <> 'missed_object' AND origin NOT IN ('match', 'review') THEN 0 END
    WHEN regexp_matches(named, '^\d{1,9}$') AND CAST(named AS INTEGER) < n_detections THEN CAST(named AS INTEGER)
    ELSE list_position(list_transform(detections, lambda d: d.detection_id), detection) - 1 END AS place
  FROM found),
described AS (
  SELECT *, detections[place + 1].label AS label, detections[place + 1].confidence AS confidence FROM placed)
SELECT n, model_id, ts AS predicted_at, place AS detection_index, label, confidence,
  detection IS NULL AND type <> 'missed_object' AND origin NOT IN ('match', 'review') AND n_detections > 1 AS vague, CASE
    WHEN detection IS NOT NULL AND place IS NULL THEN {field: 'detection_index', code: 'no_such_detection',
      reason: 'no detection ' || left(detection, 80) || ': the image has ' || n_detections}
    WHEN type = 'wrong_label' AND true_label = label THEN {field: 'true_label', code: 'label_not_wrong',
      reason: 'the predicted label is ' || label || ', too'}
    END AS fault
FROM described
