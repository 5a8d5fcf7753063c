-- Verdicts whose prediction has not come, made before $before.
SELECT count(*), min(prediction_id) FROM feedback WHERE waiting AND created_at < $before
