-- The newest look at each of these predictions by each reviewer: the beginning of its ids, and its time.
SELECT prediction_id, reviewer, arg_max(left(feedback_id, 12), (ts, seq)) AS look, max(ts) AS ts
FROM feedback WHERE origin = 'review' AND prediction_id IN (SELECT unnest($predictions))
GROUP BY prediction_id, reviewer
