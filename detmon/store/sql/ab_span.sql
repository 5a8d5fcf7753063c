-- The first and the last prediction of the models in a time.
SELECT min(ts), max(ts) FROM predictions WHERE model_id IN ($a, $b) AND ts >= $start AND ts < $until
