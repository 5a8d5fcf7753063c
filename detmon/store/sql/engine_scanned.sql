-- How many predictions of the model a run scanned in each batch.
SELECT r.batch_id, count(*) AS scanned
FROM ({rows}) AS r SEMI JOIN stretches s ON s.batch_id = r.batch_id AND r.ts >= s.first AND r.ts < s.last
GROUP BY r.batch_id
