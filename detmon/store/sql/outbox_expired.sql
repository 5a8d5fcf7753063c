SELECT notice_id, target, created_at, attempts, last_error FROM outbox WHERE status = 'queued' AND expires_at <= $time
