INSERT INTO feedback BY NAME
SELECT $first - 1 + u.n AS seq, u.feedback_id, u.prediction_id, CASE WHEN r.n IS NULL THEN u.detection END AS detection,
  r.detection_index, u.type, u.true_label, u.x, u.y, u.w, u.h, u.scope, u.reviewer, u.origin, u.tide, u.reason, u.ts,
  r.n IS NULL AS waiting, $now AS created_at, r.model_id, r.predicted_at, r.label, r.confidence
FROM unresolved u LEFT JOIN resolved r ON r.n = u.n WHERE r.fault IS NULL
