-- The verdicts that waited for a prediction of the batches from `first_batch` on.
CREATE TEMP TABLE unresolved AS
SELECT seq AS n, feedback_id, prediction_id, detection, type, true_label, scope, reviewer, origin
FROM feedback
WHERE waiting AND prediction_id IN (SELECT prediction_id FROM predictions WHERE batch_id >= $first_batch)
