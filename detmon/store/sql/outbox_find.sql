SELECT notice_id, target, kind, status, attempts, last_error, alert_id, slot, ambiguous, created_at, not_before, expires_at,
  ended_at, merged_into, group_key, payload, receipt
FROM outbox
WHERE starts_with(notice_id, $prefix)
ORDER BY seq
LIMIT 2
