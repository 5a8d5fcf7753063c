-- Targets that fail while something waits for them.
SELECT h.target, h.failing_since, h.fallback_sent_at, h.last_error,
  count(*) FILTER (WHERE o.status IN ('queued', 'sending')) AS waiting, count(*) FILTER (WHERE o.status = 'dead') AS dead
FROM target_health h
JOIN outbox o ON o.target = h.target
  AND (o.status IN ('queued', 'sending') OR (o.status = 'dead' AND o.ended_at >= h.failing_since))
WHERE h.failing_since IS NOT NULL
GROUP BY ALL
ORDER BY h.failing_since, h.target
