-- The jobs that trained on a version, oldest first, and the models that they made.
SELECT id, model_id FROM training_jobs WHERE version_id = $version ORDER BY created_at, id
