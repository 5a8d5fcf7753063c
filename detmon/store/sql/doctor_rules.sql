-- The rules that are on.
SELECT name, model_id, definition FROM alerts WHERE deleted_at IS NULL AND enabled ORDER BY name
