-- Whether nothing waits, is on its way or is dead.
SELECT count(*) = 0 FROM outbox WHERE status IN ('queued', 'sending', 'dead')
