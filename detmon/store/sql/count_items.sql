-- How many items a dataset has, with one status or with any.
SELECT count(*) FROM item_states WHERE dataset_id = $dataset AND ($status IS NULL OR status = $status)
