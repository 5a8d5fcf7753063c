INSERT INTO outbox_items(notice_id, item, alert_id, instance_key, episode_id, kind, detail)
VALUES ($notice_id, $item, $alert_id, $instance_key, $episode_id, $kind, $detail)
ON CONFLICT DO NOTHING
