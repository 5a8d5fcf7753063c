-- What a version holds, image by image.
SELECT item_id, image_key, image_id, image_uri, source, taken_at, image_width, image_height, annotations, split,
  prediction_id, model_id
FROM version_items WHERE version_id = $version ORDER BY image_id, image_key
