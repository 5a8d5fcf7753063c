SELECT id, name, version, uri, zone, aliases, created_at FROM models ORDER BY id
