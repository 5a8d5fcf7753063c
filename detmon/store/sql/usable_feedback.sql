SELECT line, feedback_id, prediction_id, detection, type, true_label, x, y, w, h, scope, reviewer, origin, tide, reason, ts
FROM staged WHERE code IS NULL AND NOT repeated ORDER BY line
