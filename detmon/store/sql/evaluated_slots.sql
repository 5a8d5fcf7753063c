-- The slots of one version of a rule that are still known, and whether the rule was paused right before.
SELECT e.slot, e.status, e.skipped_from,
  e.slot > p.slot AND coalesce(lag(e.slot) OVER (ORDER BY e.slot) <= p.slot, true) AS anew
FROM alert_evaluations AS e
ASOF LEFT JOIN (
  SELECT slot FROM alert_events WHERE alert_id = $id AND kind = 'closed' AND reason = 'rule paused') AS p
  ON p.slot < e.slot
WHERE e.alert_id = $id AND e.version = $version
ORDER BY e.slot
