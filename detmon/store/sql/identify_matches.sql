-- Verdicts from ground truth on predictions that were not matched by the same truth and rules last time. Ids begin with the
-- rules; going back to earlier ones makes new ids. A look is later than the last one, whatever the clock says.
WITH looks AS (
  SELECT prediction_id, arg_max(left(feedback_id, 12), (ts, seq)) AS rules, max(ts) AS looked_at FROM feedback
  WHERE origin = 'match' AND prediction_id IN (SELECT prediction_id FROM matched) GROUP BY prediction_id)
SELECT m.line, $rules || '-' || substr(sha256(concat_ws(chr(31), m.prediction_id, coalesce(m.detection, ''), m.type,
    coalesce(CAST(m.number AS VARCHAR), ''), coalesce(CAST(l.looked_at AS VARCHAR), ''))), 1, 20) AS feedback_id,
  m.prediction_id, m.detection, m.type, m.true_label, m.x, m.y, m.w, m.h, 'exhaustive' AS scope, $reviewer AS reviewer,
  'match' AS origin, m.tide, m.reason, greatest($now, coalesce(l.looked_at + INTERVAL 1 MICROSECOND, $now)) AS ts
FROM matched m LEFT JOIN looks l ON l.prediction_id = m.prediction_id
WHERE l.rules IS DISTINCT FROM $rules
QUALIFY row_number() OVER (PARTITION BY feedback_id ORDER BY m.line) = 1
