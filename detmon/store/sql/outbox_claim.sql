UPDATE outbox SET status = 'sending', owner = $owner, lease_until = $lease_until, attempts = attempts + 1
WHERE notice_id = $notice_id AND status = 'queued'
RETURNING attempts
