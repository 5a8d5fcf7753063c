DELETE FROM alert_instances WHERE list_contains($keys::VARCHAR[], instance_key)
