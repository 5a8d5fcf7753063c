-- How many predictions of the model a run scanned in each batch.
SELECT batch_id, count(*) AS scanned FROM ({rows}) GROUP BY batch_id
