-- Claimed and not tried: as if it had not been claimed.
UPDATE outbox SET status = 'queued', attempts = attempts - 1, last_error = coalesce($last_error, last_error),
  owner = NULL, lease_until = NULL
WHERE notice_id = $notice_id AND status = 'sending' AND owner = $owner
