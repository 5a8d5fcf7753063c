UPDATE outbox SET expires_at = $expires_at WHERE notice_id = $notice_id AND status = 'queued'
