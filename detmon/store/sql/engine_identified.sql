-- Selected predictions with the ids of their items.
SELECT 'it_' || substr(sha256($dataset || ':' || prediction_id), 1, 12) AS item_id, prediction_id, ts, batch_id,
  probability, reasons
FROM selected
