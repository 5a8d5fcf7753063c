INSERT INTO alerts(id, live_key, name, model_id, version, enabled, definition, last_slot, created_at, updated_at)
VALUES ($id, $live_key, $name, $model_id, 1, true, $definition, NULL, $now, $now)
