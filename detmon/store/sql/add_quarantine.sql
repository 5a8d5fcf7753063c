-- Rejected records, without those that are there already (the same line of the same source, read again).
INSERT INTO quarantine
SELECT CAST($first_batch + owner AS INTEGER), path, line, field, code, reason, raw FROM rejected r
WHERE NOT EXISTS (
  SELECT 1 FROM quarantine q WHERE q.path = r.path AND q.line = r.line AND q.code = r.code AND q.raw = r.raw)
RETURNING batch_id
