-- Dead letters, and notices that wait since before $overdue.
SELECT count(*) FILTER (status = 'dead'), count(*) FILTER (status = 'queued' AND created_at <= $overdue),
  min(last_error) FILTER (status = 'dead' OR (status = 'queued' AND created_at <= $overdue))
FROM outbox
