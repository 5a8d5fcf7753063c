-- Makes a dataset; one of this name that is there already stays as it is.
INSERT INTO datasets(id, name, created_at) VALUES ($id, $name, $now) ON CONFLICT DO NOTHING
