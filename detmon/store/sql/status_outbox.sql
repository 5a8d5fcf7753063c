SELECT status, count(*) FROM outbox GROUP BY status
