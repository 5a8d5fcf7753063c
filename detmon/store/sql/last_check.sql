-- When the last check ran, and whether a batch was loaded since.
SELECT r.now, (SELECT count(*) FROM batches WHERE loaded_at > r.now AND loaded_at <= $now) > 0
FROM (SELECT max(now) AS now FROM alert_runs) AS r WHERE r.now IS NOT NULL
