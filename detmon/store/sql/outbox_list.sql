SELECT notice_id, target, kind, status, attempts, last_error, alert_id, slot, ambiguous, created_at, not_before, expires_at,
  ended_at, merged_into
FROM outbox
WHERE ($status IS NULL OR status = $status)
  AND ($refreshes OR kind <> 'refresh' OR status NOT IN ('sent', 'merged'))
ORDER BY seq DESC, created_at DESC
LIMIT $limit
