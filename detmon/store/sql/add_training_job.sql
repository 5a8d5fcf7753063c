INSERT INTO training_jobs(
  id, name, dataset_id, version_id, base_model_id, trainer, command, task, status, output, created_at)
VALUES ($id, $name, $dataset, $version, $base_model, $trainer, $command, $task, 'queued', $output, $now)
