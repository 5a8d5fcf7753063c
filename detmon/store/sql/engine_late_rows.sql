-- Predictions that were scanned before and whose partner arrived now.
SELECT p.* FROM predictions p JOIN late l ON l.batch_id = p.batch_id AND l.ts = p.ts AND l.prediction_id = p.prediction_id
