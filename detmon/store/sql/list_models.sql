SELECT id, name, version, uri, zone, aliases, created_at, parent, job_id FROM models ORDER BY id
