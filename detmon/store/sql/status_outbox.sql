-- Notices by status; a repetition that was delivered is nothing new.
SELECT status, count(*) FROM outbox WHERE NOT (kind = 'refresh' AND status = 'sent') GROUP BY status
