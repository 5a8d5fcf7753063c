-- The items that a reviewed file speaks of: by their ids, their predictions, or (where names are all there is) any.
SELECT i.item_id, i.prediction_id, p.model_id, p.image_id, p.image_uri, p.image_width, p.image_height, i.reasons,
  p.detections
FROM items i JOIN predictions p ON p.ts = i.ts AND p.prediction_id = i.prediction_id
WHERE $any_item OR i.item_id IN (SELECT unnest($items)) OR i.prediction_id IN (SELECT unnest($predictions))
QUALIFY row_number() OVER (PARTITION BY i.item_id ORDER BY p.batch_id) = 1
ORDER BY i.item_id
