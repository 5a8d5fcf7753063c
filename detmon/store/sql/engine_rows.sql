-- The model's predictions in the batches and times of a run.
SELECT * FROM predictions
WHERE model_id = $model AND batch_id BETWEEN $first_batch AND $last_batch AND ts >= $earliest AND ts < $latest
  AND status IS DISTINCT FROM 'error'
