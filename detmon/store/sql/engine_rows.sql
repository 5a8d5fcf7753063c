-- The model's predictions of the batches and times of a run; the braces take columns.
SELECT p.prediction_id, p.ts, p.source, p.batch_id, {columns}
FROM predictions p
WHERE p.model_id = $model AND p.batch_id BETWEEN $first_batch AND $last_batch AND p.ts >= $earliest AND p.ts < $latest
  AND p.status IS DISTINCT FROM 'error'
