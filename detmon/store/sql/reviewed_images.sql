-- Images of a model and period that have a verdict. `served`: boxes with at least the lowest confidence that has one;
-- `complete`: the whole image was looked at, or every served box has a verdict (any verdict, where nothing was served).
WITH reviews AS (
  SELECT *, min(lowest) OVER () AS floor FROM image_reviews
  WHERE model_id = $model AND predicted_at >= $start AND predicted_at < $end),
boxes AS (
  SELECT p.prediction_id, p.image_id, p.ts, p.source, r.judged, r.missed, r.exhaustive, r.reviewed_at, r.floor,
    array_length(list_filter(p.detections, lambda d: d.confidence IS NULL OR d.confidence >= r.floor)) AS served
  FROM predictions p JOIN reviews r ON r.prediction_id = p.prediction_id AND r.predicted_at = p.ts
  WHERE p.model_id = $model AND p.ts >= $start AND p.ts < $end)
SELECT prediction_id, image_id, ts, source, judged, missed, exhaustive, reviewed_at, floor, served,
  exhaustive OR judged >= served AS complete
FROM boxes ORDER BY ts, prediction_id
