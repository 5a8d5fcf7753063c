SELECT (SELECT count(*) FROM quarantine) AS rejected, (SELECT max(now) FROM alert_runs) AS checked_at
