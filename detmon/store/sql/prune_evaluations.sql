-- Evaluations but for the newest of each rule.
DELETE FROM alert_evaluations AS e USING (SELECT alert_id, max(slot) AS newest FROM alert_evaluations GROUP BY alert_id) AS n
WHERE n.alert_id = e.alert_id AND e.slot < n.newest AND e.slot < $before
