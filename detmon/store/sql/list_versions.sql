-- Versions, oldest first, with what they hold.
WITH held AS (
  SELECT version_id, sum(array_length(annotations)) AS annotations, count(*) FILTER (split = 'train') AS train,
    count(*) FILTER (split = 'val') AS val, count(*) FILTER (split = 'test') AS test
  FROM version_items GROUP BY version_id),
aside AS (SELECT version_id, count(*) AS left_out FROM version_left_out GROUP BY version_id)
SELECT v.id, v.dataset_id, d.name, v.parent_version_id, v.name, v.items, coalesce(h.annotations, 0),
  coalesce(h.train, 0), coalesce(h.val, 0), coalesce(h.test, 0), coalesce(a.left_out, 0), v.origin, v.digest, v.created_at
FROM dataset_versions v JOIN datasets d ON d.id = v.dataset_id
  LEFT JOIN held h ON h.version_id = v.id LEFT JOIN aside a ON a.version_id = v.id
WHERE ($dataset IS NULL OR v.dataset_id = $dataset) AND ($version IS NULL OR v.id = $version)
ORDER BY v.created_at, v.name
