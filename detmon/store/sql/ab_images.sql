-- How many images the arms have, how many have several rows, how many both arms have, and how many B has; of one image in
-- $part, chosen by a hash. A hash that two images share can only send a comparison the longer, exact way.
SELECT count(*), count(*) FILTER (WHERE n > 1), count(*) FILTER (WHERE a AND b), count(*) FILTER (WHERE b)
FROM (
  SELECT count(*) AS n, bool_or(model_id = $a) AS a, bool_or(model_id = $b) AS b FROM (
    SELECT model_id, hash(image_id) AS image FROM predictions
    WHERE model_id IN ($a, $b) AND ts >= $start AND ts < $until)
  WHERE image % CAST($part AS UBIGINT) = 0 GROUP BY image)
