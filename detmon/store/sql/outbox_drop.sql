UPDATE outbox SET status = 'dropped', ended_at = $time WHERE notice_id = $notice_id AND status IN ('dead', 'queued')
