-- Those of the named images that both models saw.
SELECT image_id FROM predictions
WHERE model_id IN ($a, $b) AND ts >= $start AND ts < $until AND image_id IN (SELECT unnest($images))
GROUP BY image_id HAVING count(DISTINCT model_id) = 2
