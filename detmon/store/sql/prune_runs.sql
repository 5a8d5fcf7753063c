-- Runs of checks but for the newest, which says when the last one was.
DELETE FROM alert_runs WHERE now < $before AND now < (SELECT max(now) FROM alert_runs)
