-- Every label set that a rule has or had.
SELECT labels FROM alert_events WHERE alert_id = $id
UNION SELECT labels FROM alert_instances WHERE alert_id = $id
