-- Predictions of an image, and those whose id begins alike.
SELECT prediction_id FROM predictions
WHERE image_id = $name OR (length($name) >= 8 AND starts_with(prediction_id, left($name, 8))) ORDER BY ts DESC LIMIT $limit
