-- Boxes of A that have a box of B with the same label and an IoU of at least 0.5, and all boxes of A, on images that both
-- saw; on the $most images with the smallest hashes where there are more.
WITH rows AS (
  SELECT model_id = $b AS b, prediction_id, image_id, coalesce(source, '') AS source, detections FROM predictions
  WHERE model_id IN ($a, $b) AND ts >= $start AND ts < $until AND status IS DISTINCT FROM 'error' {days}),
common AS (
  SELECT image_id, source FROM rows GROUP BY image_id, source HAVING bool_or(b) AND NOT bool_and(b)
  ORDER BY md5(image_id || source) LIMIT $most),
boxes AS (
  SELECT b, prediction_id, image, unnest(detections) AS d, unnest(range(array_length(detections))) AS place
  FROM (SELECT b, prediction_id, detections, row(image_id, source) AS image FROM rows SEMI JOIN common USING (image_id, source))),
best AS (
  SELECT one.prediction_id, one.place, max(
    greatest(0, least(CAST(one.d.x AS DOUBLE) + one.d.w, CAST(other.d.x AS DOUBLE) + other.d.w)
      - greatest(one.d.x, other.d.x))
    * greatest(0, least(CAST(one.d.y AS DOUBLE) + one.d.h, CAST(other.d.y AS DOUBLE) + other.d.h)
      - greatest(one.d.y, other.d.y))
    / (0.5 / 1.5 * (CAST(one.d.w AS DOUBLE) * one.d.h + CAST(other.d.w AS DOUBLE) * other.d.h))) AS reached
  FROM boxes one JOIN boxes other
    ON other.b AND NOT one.b AND other.image = one.image AND other.d.label = one.d.label
  GROUP BY one.prediction_id, one.place)
SELECT (SELECT count(*) FROM best WHERE reached >= 1), (SELECT count(*) FROM boxes WHERE NOT b)
