INSERT INTO predictions BY NAME
SELECT * EXCLUDE (owner), CAST($first_batch + owner AS INTEGER) AS batch_id FROM staged
