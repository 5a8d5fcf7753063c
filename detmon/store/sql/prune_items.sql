DELETE FROM outbox_items WHERE notice_id IN (SELECT notice_id FROM prunable_notices)
