-- A fact is a fact: also when another process has taken the row meanwhile.
UPDATE outbox SET status = 'sent', receipt = $receipt, ended_at = $time, owner = NULL, lease_until = NULL, last_error = NULL
WHERE notice_id = $notice_id
