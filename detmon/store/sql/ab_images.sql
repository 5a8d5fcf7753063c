-- Images with several rows; and, an image being one of its source, those of both arms and those of B. Of one image in $part,
-- chosen by a hash: a hash that two images share can only send a comparison the longer, exact way.
SELECT count(*) FILTER (n > 1), coalesce(sum(shared), 0), coalesce(sum(of_b), 0)
FROM (
  SELECT sum(n) AS n, count(*) FILTER (a AND b) AS shared, count(*) FILTER (b) AS of_b
  FROM (
    SELECT image, source, count(*) AS n, bool_or(model_id = $a) AS a, bool_or(model_id = $b) AS b FROM (
      SELECT model_id, hash(image_id) AS image, hash(source) AS source FROM predictions
      WHERE model_id IN ($a, $b) AND ts >= $start AND ts < $until {days})
    WHERE image % CAST($part AS UBIGINT) = 0 GROUP BY image, source)
  GROUP BY image)
