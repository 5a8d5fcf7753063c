-- Predictions that were scanned before and whose partner arrived now; the braces take columns.
SELECT p.prediction_id, p.ts, p.source, p.batch_id, {columns}
FROM predictions p JOIN late l ON l.batch_id = p.batch_id AND l.ts = p.ts AND l.prediction_id = p.prediction_id
