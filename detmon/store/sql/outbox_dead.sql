UPDATE outbox SET status = 'dead', last_error = $last_error, ended_at = $time, owner = NULL, lease_until = NULL
WHERE notice_id = $notice_id AND status IN ('queued', 'sending')
