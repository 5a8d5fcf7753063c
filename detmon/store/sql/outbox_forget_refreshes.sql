-- Old repetitions of what is open, one a check and instance: nothing refers to them.
DELETE FROM outbox
WHERE kind = 'refresh' AND status IN ('sent', 'merged') AND ended_at < $before
RETURNING notice_id
