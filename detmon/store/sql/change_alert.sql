UPDATE alerts SET version = $version, enabled = $enabled, definition = $definition, last_slot = $last_slot, updated_at = $now
WHERE id = $id
