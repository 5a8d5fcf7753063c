SELECT id, name, model_id, version, enabled, definition, last_slot, created_at, updated_at
FROM alerts WHERE deleted_at IS NULL OR $deleted
ORDER BY model_id, name, created_at
