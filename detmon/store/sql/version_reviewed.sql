-- The items of a dataset that are reviewed (or put aside), with their boxes as reviews corrected them, or why these are no
-- labels. Boxes without a verdict do not count where a complete look found all objects; else every box has to be judged,
-- down to the lowest confidence that anybody judged of this model.
CREATE OR REPLACE TEMP TABLE candidates AS
WITH chosen AS (
  SELECT i.item_id, i.status, p.prediction_id, p.model_id, p.ts, p.image_id, p.image_uri, p.source, p.image_width,
    p.image_height, p.detections
  FROM item_states i JOIN predictions p ON p.ts = i.ts AND p.prediction_id = i.prediction_id
  WHERE i.dataset_id = $dataset AND i.status IN ('reviewed', 'ignored')),
floors AS (
  SELECT model_id, min(confidence) AS floor FROM feedback WHERE NOT waiting GROUP BY model_id),
verdicts AS (
  SELECT c.item_id, f.* FROM current_feedback f JOIN chosen c
    ON f.model_id = c.model_id AND f.predicted_at = c.ts AND f.prediction_id = c.prediction_id),
looks AS (
  SELECT item_id, bool_or(scope = 'exhaustive') AS exhaustive,
    bool_or(scope = 'exhaustive' AND origin IN ('match', 'review')) AS all_found
  FROM verdicts GROUP BY item_id),
boxes AS (
  SELECT item_id, model_id, unnest(detections) AS d, unnest(range(array_length(detections))) AS detection_index FROM chosen),
judged AS (
  SELECT b.item_id, v.type,
    CASE v.type WHEN 'wrong_label' THEN v.true_label WHEN 'wrong_box' THEN coalesce(v.true_label, b.d.label)
      ELSE b.d.label END AS label,
    CASE WHEN v.type = 'wrong_box' OR v.type = 'wrong_label' AND v.x IS NOT NULL THEN [v.x, v.y, v.w, v.h]
      ELSE [b.d.x, b.d.y, b.d.w, b.d.h] END AS sides,
    v.type IS NULL AND NOT coalesce(l.all_found, false)
      AND coalesce(b.d.confidence >= f.floor, true) AS unjudged
  FROM boxes b LEFT JOIN verdicts v ON v.item_id = b.item_id AND v.detection_index = b.detection_index
    LEFT JOIN looks l ON l.item_id = b.item_id LEFT JOIN floors f ON f.model_id = b.model_id
  UNION ALL
  SELECT item_id, type, true_label, [x, y, w, h], false FROM verdicts WHERE type = 'missed_object'),
objects AS (
  SELECT *, type IS NOT NULL AND type <> 'false_positive' AS there, list_count(sides) = 4 AS has_box FROM judged),
labelled AS (
  SELECT item_id,
    list_sort(list({label: label, x: round(CAST(sides[1] AS DOUBLE), 3), y: round(CAST(sides[2] AS DOUBLE), 3),
      w: round(CAST(sides[3] AS DOUBLE), 3), h: round(CAST(sides[4] AS DOUBLE), 3)}) FILTER (there)) AS annotations,
    CASE WHEN bool_or(unjudged) THEN 'unjudged_boxes'
      WHEN bool_or(there AND label IS NULL) THEN 'no_true_label'
      WHEN bool_or(there AND NOT has_box) THEN 'no_true_box' END AS reason
  FROM objects GROUP BY item_id)
SELECT c.item_id, sha256(concat_ws(chr(31), coalesce(c.source, ''), c.image_id, coalesce(c.image_uri, ''))) AS image_key,
  c.image_id, c.image_uri, c.source, c.ts AS taken_at, c.image_width, c.image_height,
  coalesce(b.annotations, []) AS annotations, CAST(NULL AS VARCHAR) AS split,
  coalesce(c.source, '') || chr(31) || strftime(c.ts, '%Y-%m-%d') AS split_group, c.prediction_id, c.model_id,
  CASE WHEN c.status = 'ignored' THEN 'ignored' WHEN l.item_id IS NULL AND b.item_id IS NULL THEN 'no_verdict'
    ELSE b.reason END AS reason,
  NOT coalesce(l.exhaustive, false) AS boxes_only
FROM chosen c LEFT JOIN looks l ON l.item_id = c.item_id LEFT JOIN labelled b ON b.item_id = c.item_id
