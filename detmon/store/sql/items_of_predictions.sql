SELECT item_id, prediction_id, dataset_id, status FROM items
WHERE dataset_id = $dataset AND prediction_id IN (SELECT unnest($predictions)) ORDER BY item_id
