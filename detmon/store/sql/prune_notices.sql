DELETE FROM outbox WHERE notice_id IN (SELECT notice_id FROM prunable_notices)
