UPDATE items SET status = $status, updated_at = $now WHERE item_id = $item
RETURNING item_id, prediction_id, dataset_id, status
