SELECT status, count(*) FROM training_jobs GROUP BY status
