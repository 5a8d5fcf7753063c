-- Which targets were told of these episodes, and with what news; `unheard`: no notice of it reached the target or still
-- may.
SELECT n.episode_id, n.target, n.last_slot, n.count, n.stateful, n.refresh, o.group_key, coalesce(h.unheard, false)
FROM alert_notified n
LEFT JOIN outbox o ON o.notice_id = n.notice_id
LEFT JOIN (
  SELECT i.episode_id, x.target,
    bool_and(x.status IN ('dead', 'dropped', 'merged') OR (x.status = 'queued' AND x.expires_at <= $now)) AS unheard
  FROM outbox_items AS i JOIN outbox AS x USING (notice_id)
  WHERE list_contains($episodes::VARCHAR[], i.episode_id)
  GROUP BY ALL
) AS h ON h.episode_id = n.episode_id AND h.target = n.target
WHERE list_contains($episodes::VARCHAR[], n.episode_id)
