-- The manifest of logs whose rows, or a part of them, are written now.
INSERT INTO batches BY NAME
SELECT * EXCLUDE (owner), CAST($first_batch + owner AS INTEGER) AS batch_id, $now AS loaded_at FROM logs
