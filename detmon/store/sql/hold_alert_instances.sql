-- What holds the notices of instances back.
UPDATE alert_instances SET held_by = held.held_by
FROM (SELECT unnest($keys::VARCHAR[]) AS instance_key, unnest($held_by::VARCHAR[]) AS held_by) AS held
WHERE alert_instances.instance_key = held.instance_key
