-- Whether any verdict speaks of the rows of a comparison.
SELECT 1 FROM feedback
WHERE NOT waiting AND model_id IN ($a, $b) AND predicted_at >= $start AND predicted_at < $until LIMIT 1
