-- Says where a model comes from; one that another job made stays that job's.
UPDATE models SET parent = $parent, job_id = $job WHERE id = $id AND (job_id IS NULL OR job_id = $job)
RETURNING id
