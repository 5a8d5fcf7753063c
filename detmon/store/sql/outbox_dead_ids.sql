SELECT notice_id FROM outbox WHERE status = 'dead' ORDER BY seq
