INSERT INTO engine_revisions(engine_id, revision, config, taken, reaches_all, created_at)
VALUES ($engine, $revision, $config, $taken, $reaches_all, $now)
