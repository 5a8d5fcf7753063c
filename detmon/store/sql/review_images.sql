-- Images of a model and period that have a verdict, in the order of time. `served`: boxes with at least the lowest confidence
-- that has one; `complete`: the whole image was looked at, or every served box has a verdict. `pi`: the chance of the image
-- to be selected by the engine of the dataset, NULL where that engine did not select it.
WITH reviews AS (
  SELECT *, min(lowest) OVER () AS floor FROM image_reviews
  WHERE model_id = $model AND predicted_at >= $start AND predicted_at < $end),
selected AS (
  SELECT prediction_id, inclusion_probability AS pi FROM items
  WHERE dataset_id = $dataset AND model_id = $model AND ts >= $start AND ts < $end AND estimable),
images AS (
  SELECT p.prediction_id, p.ts, p.image_id, coalesce(p.source, '') AS source, p.tags, p.detections, r.exhaustive, r.judged,
    array_length(list_filter(p.detections, lambda d: d.confidence IS NULL OR d.confidence >= r.floor)) AS served, r.floor
  FROM predictions p JOIN reviews r ON r.prediction_id = p.prediction_id AND r.predicted_at = p.ts
  WHERE p.model_id = $model AND p.ts >= $start AND p.ts < $end AND p.status IS DISTINCT FROM 'error')
SELECT row_number() OVER (ORDER BY ts, prediction_id) - 1 AS image, i.*, s.pi,
  exhaustive OR judged >= served AS complete
FROM images i LEFT JOIN selected s USING (prediction_id)
