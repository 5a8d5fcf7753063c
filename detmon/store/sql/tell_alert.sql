INSERT INTO alert_notified(episode_id, target, notice_id, last_slot, count, stateful, refresh)
SELECT unnest($episode_id::VARCHAR[]), unnest($target::VARCHAR[]), unnest($notice_id::VARCHAR[]),
  unnest($last_slot::TIMESTAMP[]), unnest($count::INTEGER[]), unnest($stateful::BOOLEAN[]), unnest($refresh::BOOLEAN[])
ON CONFLICT (episode_id, target) DO UPDATE SET
  notice_id = excluded.notice_id, last_slot = excluded.last_slot, count = excluded.count,
  stateful = excluded.stateful, refresh = excluded.refresh
