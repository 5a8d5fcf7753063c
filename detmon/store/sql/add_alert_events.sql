INSERT INTO alert_events(
  alert_id, instance_key, episode_id, slot, kind, labels, value, n, threshold, reason, detail, run_id, recorded_at)
SELECT unnest($alert_id::VARCHAR[]), unnest($instance_key::VARCHAR[]), unnest($episode_id::VARCHAR[]),
  unnest($slot::TIMESTAMP[]), unnest($kind::VARCHAR[]), unnest($labels::VARCHAR[]), unnest($value::DOUBLE[]),
  unnest($n::BIGINT[]), unnest($threshold::DOUBLE[]), unnest($reason::VARCHAR[]), unnest($detail::VARCHAR[]), $run_id, $now
