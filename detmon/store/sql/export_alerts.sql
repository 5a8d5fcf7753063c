-- How many instances of each enabled rule are in which state; a rule without instances has one row without a state.
SELECT a.name, a.model_id, a.definition, i.state, count(i.state)
FROM alerts AS a LEFT JOIN alert_instances AS i ON i.alert_id = a.id
WHERE a.enabled AND a.deleted_at IS NULL
GROUP BY ALL ORDER BY a.model_id, a.name, i.state
