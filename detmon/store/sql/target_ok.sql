INSERT INTO target_health(target, last_ok, consecutive) VALUES ($target, $time, 0)
ON CONFLICT (target) DO UPDATE SET failing_since = NULL, last_ok = $time, retry_at = NULL, consecutive = 0,
  last_error = NULL, fallback_sent_at = NULL
