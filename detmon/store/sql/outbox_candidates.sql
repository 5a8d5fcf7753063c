-- Targets that can be served now, healthy ones first: something waits, nobody is sending, no pause is running.
SELECT q.target
FROM (SELECT target, arg_min(not_before, seq) AS not_before, min(seq) AS seq FROM outbox WHERE status = 'queued' GROUP BY target) q
LEFT JOIN target_health h ON h.target = q.target
WHERE q.not_before <= $time
  AND (h.retry_at IS NULL OR h.retry_at <= $time)
  AND q.target NOT IN (SELECT target FROM outbox WHERE status = 'sending')
ORDER BY h.failing_since IS NOT NULL, q.seq
