-- Registers a model; one that is there already stays as it is.
INSERT INTO models(id, name, version, uri, zone, aliases, created_at)
VALUES ($id, $name, $version, $uri, $zone, [], $now)
ON CONFLICT DO NOTHING
