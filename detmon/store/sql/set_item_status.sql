UPDATE items SET status = $status, set_at = $now, updated_at = $now WHERE item_id = $item
RETURNING item_id, prediction_id, dataset_id, status
