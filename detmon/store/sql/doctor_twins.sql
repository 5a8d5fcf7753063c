-- Of the newest images of a model with a box on another: how many have such a pair with two labels, equal in all, or else.
WITH chosen AS (
  SELECT prediction_id, detections FROM predictions WHERE model_id = $model AND max_iou > 0.95 ORDER BY ts DESC LIMIT 200),
boxes AS (
  SELECT prediction_id, unnest(range(array_length(detections))) AS place, unnest(detections) AS d FROM chosen),
pairs AS (
  SELECT a.prediction_id, a.d AS one, b.d AS other,
    greatest(0, least(a.d.x + a.d.w, b.d.x + b.d.w) - greatest(a.d.x, b.d.x))
      * greatest(0, least(a.d.y + a.d.h, b.d.y + b.d.h) - greatest(a.d.y, b.d.y)) AS common
  FROM boxes AS a JOIN boxes AS b ON a.prediction_id = b.prediction_id AND a.place < b.place)
SELECT (SELECT count(*) FROM chosen),
  count(DISTINCT prediction_id) FILTER (one.label <> other.label),
  count(DISTINCT prediction_id) FILTER (one.label = other.label AND one.confidence IS NOT DISTINCT FROM other.confidence
    AND one.x = other.x AND one.y = other.y AND one.w = other.w AND one.h = other.h),
  count(DISTINCT prediction_id) FILTER (one.label = other.label)
FROM pairs WHERE common > 0.95 * (one.w * one.h + other.w * other.h - common)
