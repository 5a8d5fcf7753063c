SELECT notice_id, seq, kind, group_key, alert_id, slot, run_id, payload, created_at, not_before, expires_at, attempts, ambiguous
FROM outbox
WHERE target = $target AND status = 'queued'
ORDER BY seq, created_at, notice_id
