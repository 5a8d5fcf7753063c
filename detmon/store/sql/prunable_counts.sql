-- How many rows of each model may go, and how many stay though they are older than $before.
SELECT p.model_id, count(r.row) AS gone, count(*) - count(r.row) AS kept
FROM predictions AS p LEFT JOIN prunable AS r ON r.row = p.rowid
WHERE p.ts < $before GROUP BY ALL ORDER BY ALL
