-- Rejected verdicts, without those that are there already (the same row of the same file, read again).
INSERT INTO quarantine BY NAME
SELECT $batch AS batch_id, $path AS path, line, field, code, reason, raw FROM rejected r
WHERE NOT EXISTS (
  SELECT 1 FROM quarantine q WHERE q.path = $path AND q.line = r.line AND q.code = r.code AND q.raw = r.raw)
