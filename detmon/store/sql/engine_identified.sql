-- Selected predictions with the ids of their items, each once (a log may hold a prediction twice).
SELECT 'it_' || substr(sha256($dataset || ':' || prediction_id), 1, 12) AS item_id, prediction_id, min(ts) AS ts,
  min(batch_id) AS batch_id, max(probability) AS probability, arg_max(reasons, probability) AS reasons
FROM selected GROUP BY prediction_id
