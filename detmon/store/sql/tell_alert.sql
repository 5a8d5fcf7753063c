INSERT INTO alert_notified(episode_id, target, notice_id, last_slot, count)
SELECT unnest($episode_id::VARCHAR[]), unnest($target::VARCHAR[]), unnest($notice_id::VARCHAR[]),
  unnest($last_slot::TIMESTAMP[]), unnest($count::INTEGER[])
ON CONFLICT (episode_id, target) DO UPDATE SET
  notice_id = excluded.notice_id, last_slot = excluded.last_slot, count = excluded.count
