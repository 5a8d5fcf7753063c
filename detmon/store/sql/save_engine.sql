-- Makes an engine, or changes it; one that was removed comes back.
INSERT INTO engines(engine_id, model_id, dataset_id, config, taken, salt, revision, runs, created_at, updated_at)
VALUES ($engine, $model, $dataset, $config, $taken, $salt, $revision, $runs, $now, $now)
ON CONFLICT (engine_id) DO UPDATE SET config = excluded.config, taken = excluded.taken, salt = excluded.salt,
  revision = excluded.revision, runs = excluded.runs, updated_at = excluded.updated_at, removed_at = NULL
