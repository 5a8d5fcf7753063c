-- How many predictions two logs have in common.
SELECT count(*) FROM predictions SEMI JOIN theirs USING (ts, prediction_id) WHERE ts >= $start AND ts <= $end
