-- The newest migration that was made, and its name.
SELECT coalesce(max(version), 0), max_by(name, version) FROM migrations
