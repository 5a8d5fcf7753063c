-- Which targets were told of these episodes, and with what news.
SELECT n.episode_id, n.target, n.last_slot, n.count, n.stateful, n.refresh, o.group_key
FROM alert_notified n LEFT JOIN outbox o ON o.notice_id = n.notice_id
WHERE list_contains($episodes::VARCHAR[], n.episode_id)
