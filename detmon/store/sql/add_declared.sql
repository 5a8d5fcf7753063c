-- Remembers what `apply` made.
INSERT INTO declared(kind, id, made_at) VALUES ($kind, $id, $now) ON CONFLICT DO NOTHING
