SELECT item_id, prediction_id, dataset_id, status FROM item_states
WHERE dataset_id = $dataset AND prediction_id IN (SELECT unnest($predictions)) ORDER BY item_id
