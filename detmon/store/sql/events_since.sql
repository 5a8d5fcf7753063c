-- What happened to the instances of a rule, but for what people ended.
SELECT slot, kind, labels, value, n FROM alert_events
WHERE alert_id = $id AND slot >= $first AND (kind <> 'closed' OR reason IN ('series gone', 'evaluated again'))
ORDER BY seq
