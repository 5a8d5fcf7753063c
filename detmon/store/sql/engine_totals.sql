-- What an engine has done: scans, predictions scanned by ordinary runs, and when it last ran.
SELECT count(DISTINCT batch_id), coalesce(CAST(sum(scanned) FILTER (WHERE NOT again) AS BIGINT), 0), max(scanned_at)
FROM engine_scans WHERE engine_id = $engine
