-- Predictions of both models in a time.
SELECT count(*) FILTER (WHERE model_id = $a), count(*) FILTER (WHERE model_id = $b)
FROM predictions WHERE model_id IN ($a, $b) AND ts >= $start AND ts < $until
