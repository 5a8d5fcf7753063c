-- The silences of all rules while this one was at work, and the acknowledgements of its episodes, with their labels.
SELECT s.kind, s.matchers, e.labels, s.starts_at, s.ends_at, s.author, s.comment
FROM alert_silences AS s
LEFT JOIN (SELECT DISTINCT episode_id, labels FROM alert_events WHERE alert_id = $id AND kind = 'firing') AS e
  ON e.episode_id = s.episode_id
JOIN (
  SELECT least(created_at, (SELECT min(slot) FROM alert_evaluations WHERE alert_id = $id)) AS since, deleted_at AS until
  FROM alerts WHERE id = $id
) AS a ON s.kind = 'ack' OR (s.ends_at > greatest(s.starts_at, a.since) AND s.starts_at < coalesce(a.until, s.ends_at))
WHERE s.kind = 'silence' OR e.episode_id IS NOT NULL
ORDER BY s.starts_at, s.silence_id
