-- Those of the named images, each of its source, that both models saw.
SELECT image_id, source FROM (
  SELECT model_id, image_id, coalesce(source, '') AS source FROM predictions
  WHERE model_id IN ($a, $b) AND ts >= $start AND ts < $until AND image_id IN (SELECT unnest($images)) {days})
GROUP BY image_id, source HAVING count(DISTINCT model_id) = 2
