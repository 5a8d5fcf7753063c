UPDATE outbox SET status = 'queued', not_before = $not_before, ambiguous = ambiguous OR $ambiguous,
  last_error = $last_error, owner = NULL, lease_until = NULL
WHERE notice_id = $notice_id AND status = 'sending' AND owner = $owner
