-- Verdicts from ground truth with their ids: the same for the same truth, rules and prediction.
SELECT line, substr(sha256(concat_ws(chr(31), $rules, prediction_id, coalesce(detection, ''), type,
    coalesce(CAST(number AS VARCHAR), ''))), 1, 32) AS feedback_id,
  prediction_id, detection, type, true_label, x, y, w, h, 'exhaustive' AS scope, $reviewer AS reviewer,
  'match' AS origin, tide, reason, $now AS ts
FROM matched
