-- The engines; removed ones only when asked for.
SELECT e.engine_id, e.model_id, e.dataset_id, d.name, e.salt, e.revision, e.runs, e.created_at, e.updated_at,
  e.removed_at IS NOT NULL AS removed, e.config, e.taken
FROM engines e JOIN datasets d ON d.id = e.dataset_id
WHERE ($model IS NULL OR e.model_id = $model) AND ($dataset IS NULL OR e.dataset_id = $dataset)
  AND ($removed OR e.removed_at IS NULL)
ORDER BY e.model_id, d.name
