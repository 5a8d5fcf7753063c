INSERT INTO items(item_id, dataset_id, prediction_id, model_id, ts, reasons, inclusion_probability, estimable, status,
  created_at, updated_at)
SELECT item_id, $dataset, prediction_id, $model, ts, reasons, probability, true, 'needs_review', $now, $now
FROM chosen ANTI JOIN items USING (item_id)
