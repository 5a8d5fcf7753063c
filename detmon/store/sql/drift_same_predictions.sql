-- How many predictions two logs have in common.
SELECT count(*) FROM predictions SEMI JOIN other.predictions AS theirs USING (ts, prediction_id)
