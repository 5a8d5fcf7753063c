-- Items of a dataset with what their predictions say. An item's id is a hash, so its order is random.
WITH listed AS (
  SELECT item_id, prediction_id, ts, reasons FROM item_states
  WHERE dataset_id = $dataset AND ($status IS NULL OR status = $status) ORDER BY item_id LIMIT $limit)
SELECT i.item_id, i.prediction_id, p.model_id, p.image_id, p.image_uri, p.image_width, p.image_height, i.reasons,
  p.detections
FROM listed i JOIN predictions p ON p.ts = i.ts AND p.prediction_id = i.prediction_id
QUALIFY row_number() OVER (PARTITION BY i.item_id ORDER BY p.batch_id) = 1
ORDER BY i.item_id
