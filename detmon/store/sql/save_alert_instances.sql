INSERT INTO alert_instances(
  instance_key, alert_id, version, labels, condition, active_since, fired_at, recovering_since, episode_id, peak, health,
  health_since, health_reason, told, health_episode_id, ever, state, state_since, value, n, detail, last_slot, last_data_slot,
  flap, held_by)
SELECT unnest($instance_key::VARCHAR[]), unnest($alert_id::VARCHAR[]), unnest($version::INTEGER[]), unnest($labels::VARCHAR[]),
  unnest($condition::VARCHAR[]), unnest($active_since::TIMESTAMP[]), unnest($fired_at::TIMESTAMP[]),
  unnest($recovering_since::TIMESTAMP[]), unnest($episode_id::VARCHAR[]), unnest($peak::DOUBLE[]), unnest($health::VARCHAR[]),
  unnest($health_since::TIMESTAMP[]), unnest($health_reason::VARCHAR[]), unnest($told::VARCHAR[]),
  unnest($health_episode_id::VARCHAR[]), unnest($ever::BOOLEAN[]), unnest($state::VARCHAR[]),
  unnest($state_since::TIMESTAMP[]), unnest($value::DOUBLE[]), unnest($n::BIGINT[]), unnest($detail::VARCHAR[]),
  unnest($last_slot::TIMESTAMP[]), unnest($last_data_slot::TIMESTAMP[]),
  unnest($flap::VARCHAR[]), unnest($held_by::VARCHAR[])
ON CONFLICT (instance_key) DO UPDATE SET
  version = excluded.version, condition = excluded.condition, active_since = excluded.active_since,
  fired_at = excluded.fired_at, recovering_since = excluded.recovering_since, episode_id = excluded.episode_id,
  peak = excluded.peak, health = excluded.health, health_since = excluded.health_since,
  health_reason = excluded.health_reason, told = excluded.told, health_episode_id = excluded.health_episode_id,
  ever = excluded.ever, state = excluded.state, state_since = excluded.state_since, value = excluded.value,
  n = excluded.n, detail = excluded.detail, last_slot = excluded.last_slot, last_data_slot = excluded.last_data_slot,
  flap = excluded.flap, held_by = excluded.held_by
