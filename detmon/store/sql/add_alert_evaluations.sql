-- A slot of a rule is evaluated at most once: a second row of the same key is refused at COMMIT.
INSERT INTO alert_evaluations(alert_id, slot, version, run_id, status, skipped_from, instances, error, ms)
SELECT unnest($alert_id::VARCHAR[]), unnest($slot::TIMESTAMP[]), unnest($version::INTEGER[]), $run_id,
  unnest($status::VARCHAR[]), unnest($skipped_from::TIMESTAMP[]), unnest($instances::INTEGER[]), unnest($error::VARCHAR[]),
  unnest($ms::DOUBLE[])
