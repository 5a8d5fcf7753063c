-- Items with what their predictions say. An item's id is a hash, so its order is random.
WITH listed AS (
  SELECT item_id, prediction_id, ts, reasons, inclusion_probability, status FROM item_states
  WHERE dataset_id = $dataset AND ($status IS NULL OR status = $status) ORDER BY item_id LIMIT $limit)
SELECT i.item_id, i.prediction_id, p.image_id, p.image_uri, p.model_id, i.ts, p.source, i.reasons,
  i.inclusion_probability, i.status, p.detections
FROM listed i JOIN predictions p ON p.ts = i.ts AND p.prediction_id = i.prediction_id
ORDER BY i.item_id
