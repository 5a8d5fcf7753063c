-- Images that a model logged more than once, under several prediction ids; of one in $every images. (Without its type
-- the number makes the rest one of 128 bits, which takes ten times as long.)
SELECT model_id, count(*), count(*) FILTER (n > 1), min(image_id) FILTER (n > 1)
FROM (
  SELECT model_id, source, image_id, count(*) AS n FROM predictions
  WHERE hash(image_id) % $every::UBIGINT = 0 AND ($model IS NULL OR model_id = $model)
  GROUP BY ALL)
GROUP BY model_id
