SELECT notice_id, owner, lease_until FROM outbox WHERE status = 'sending'
