INSERT INTO alert_runs(run_id, now, started_at, host, pid, version, scope, rules, slots, failed, events)
VALUES ($run_id, $now, $now, $host, $pid, $version, $scope, $rules, $slots, $failed, $events)
