INSERT INTO outbox_items(notice_id, item, alert_id, instance_key, episode_id, kind, detail)
SELECT $notice_id, unnest($item::INTEGER[]), unnest($alert_id::VARCHAR[]), unnest($instance_key::VARCHAR[]),
  unnest($episode_id::VARCHAR[]), unnest($kind::VARCHAR[]), unnest($detail::VARCHAR[])
ON CONFLICT DO NOTHING
