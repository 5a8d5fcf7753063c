-- A dead or waiting notice is due at once, and has its time to live before it again.
UPDATE outbox SET status = 'queued', not_before = $time, expires_at = $time + (expires_at - created_at), ended_at = NULL
WHERE notice_id = $notice_id AND status IN ('dead', 'queued')
