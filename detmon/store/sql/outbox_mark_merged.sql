UPDATE outbox SET status = 'merged', merged_into = $merged_into, ended_at = $time
WHERE notice_id = $notice_id AND status = 'queued'
