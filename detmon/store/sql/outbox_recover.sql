-- The claimant died: nobody knows whether the notice arrived.
UPDATE outbox SET status = 'queued', ambiguous = true, owner = NULL, lease_until = NULL
WHERE notice_id = $notice_id AND status = 'sending'
