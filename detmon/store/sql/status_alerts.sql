SELECT i.state, count(*) FROM alert_instances AS i JOIN alerts AS a ON a.id = i.alert_id
WHERE a.enabled AND a.deleted_at IS NULL GROUP BY i.state
