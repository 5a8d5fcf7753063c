SELECT alert_id, instance_key, labels, condition, active_since, fired_at, recovering_since, episode_id, peak, health,
  health_since, health_reason, told, health_episode_id, ever, state, state_since, value, n, detail, last_slot, last_data_slot,
  flap, held_by
FROM alert_instances WHERE list_contains($alerts::VARCHAR[], alert_id)
ORDER BY alert_id, labels
