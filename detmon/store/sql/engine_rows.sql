-- The model's predictions in the stretches of a run; the braces take columns.
SELECT p.prediction_id, p.ts, p.source, p.batch_id, {columns}
FROM predictions p JOIN stretches s ON p.batch_id = s.batch_id AND p.ts >= s.first AND p.ts < s.last
WHERE p.model_id = $model AND p.batch_id BETWEEN $first_batch AND $last_batch AND p.ts >= $earliest AND p.ts < $latest
  AND p.status IS DISTINCT FROM 'error'
