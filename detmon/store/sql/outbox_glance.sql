-- What the outbox holds, in one row.
SELECT
  count(*) FILTER (WHERE status = 'queued') AS queued,
  count(*) FILTER (WHERE status = 'sending') AS sending,
  count(*) FILTER (WHERE status = 'dead' AND ended_at > $dead_since) AS dead,
  count(*) FILTER (WHERE status = 'queued' AND created_at <= $overdue_before) AS overdue
FROM outbox
