-- The ok rows of a window, with the place of the piece of it that each lies in. A piece is found through the cells of
-- equal $length that it touches. The braces take constants of detmon.drift.windows.
SELECT prediction_id, coalesce(source, '') AS source, place, {detections} AS detections, {n} AS n
FROM predictions JOIN (
  SELECT unnest($cells) AS cell, unnest($places) AS place, unnest($starts) AS piece_start, unnest($ends) AS piece_end
) AS c ON date_diff('microsecond', $start, ts) // $length = cell AND ts >= piece_start AND ts < piece_end
WHERE ts >= $start AND ts < $end AND status IS DISTINCT FROM 'error' AND ($model IS NULL OR model_id = $model)
  AND ($source IS NULL OR coalesce(source, '') = $source)
