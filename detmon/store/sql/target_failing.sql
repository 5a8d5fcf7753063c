INSERT INTO target_health(target, failing_since, retry_at, consecutive, last_error) VALUES ($target, $time, $retry_at, 1, $error)
ON CONFLICT (target) DO UPDATE SET failing_since = coalesce(target_health.failing_since, $time), retry_at = $retry_at,
  consecutive = target_health.consecutive + 1, last_error = $error
RETURNING consecutive
