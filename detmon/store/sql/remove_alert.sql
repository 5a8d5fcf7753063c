-- The rule's name is free again; its history stays.
UPDATE alerts SET live_key = NULL, enabled = false, deleted_at = $now, updated_at = $now WHERE id = $id
