SELECT * EXCLUDE (denominator), CAST($first_batch + denominator AS INTEGER) AS batch_id FROM cells
