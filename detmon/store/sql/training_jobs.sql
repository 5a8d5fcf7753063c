-- Jobs, newest first; of one model (the one it made), version or status, where these are given.
SELECT j.id, j.name, j.status, j.dataset_id, j.version_id, v.name, j.base_model_id, j.model_id, j.trainer, j.command,
  j.output, j.log, j.exit_code, j.reason, j.created_at, j.started_at, j.finished_at, j.handle, j.task
FROM training_jobs j LEFT JOIN dataset_versions v ON v.id = j.version_id
WHERE ($id IS NULL OR j.id = $id) AND ($version IS NULL OR j.version_id = $version)
ORDER BY j.created_at DESC, j.id
