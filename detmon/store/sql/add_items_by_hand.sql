-- Predictions that somebody picked: their chance to be chosen is not known.
INSERT INTO items(item_id, dataset_id, prediction_id, model_id, ts, reasons, estimable, status, created_at, updated_at)
SELECT item_id, $dataset, prediction_id, model_id, ts, ['by_hand'], false, 'needs_review', $now, $now
FROM (
  SELECT 'it_' || substr(sha256($dataset || ':' || prediction_id), 1, 12) AS item_id, prediction_id,
    any_value(model_id) AS model_id, min(ts) AS ts
  FROM predictions WHERE prediction_id IN (SELECT unnest($predictions)) GROUP BY prediction_id)
ANTI JOIN items USING (item_id)
