-- What is over stays as it is.
UPDATE training_jobs SET
  status = $status, handle = coalesce($handle, handle), log = coalesce($log, log), exit_code = $exit_code,
  reason = $reason, model_id = $model, started_at = coalesce(started_at, $started_at), finished_at = $finished_at
WHERE id = $id AND status IN ('queued', 'running')
RETURNING id
