-- Records read and rejected, and the commonest reasons.
SELECT (SELECT coalesce(sum(n_read), 0)::BIGINT FROM batches), (SELECT count(*) FROM quarantine),
  (SELECT coalesce(list(code || CASE WHEN field IS NULL THEN '' ELSE ' of ' || field END ORDER BY n DESC)[1:3], [])
   FROM (SELECT code, field, count(*) AS n FROM quarantine GROUP BY code, field))
