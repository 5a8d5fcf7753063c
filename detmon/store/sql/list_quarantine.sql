SELECT path, line, field, code, reason, raw FROM quarantine
WHERE $file IS NULL OR path = $file
ORDER BY batch_id, path, line LIMIT $limit
