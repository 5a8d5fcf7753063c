-- Rows of the batch whose id the store has; `same`: with the same content.
SELECT s.n AS n,
  bool_or(s.n_detections = p.n_detections AND s.confidence_sum = p.confidence_sum) AS same
FROM staged s JOIN predictions p ON p.prediction_id = s.prediction_id
WHERE p.ts BETWEEN $earliest AND $latest
GROUP BY s.n
