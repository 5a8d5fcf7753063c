SELECT v.id, v.name, d.id, d.name, v.parent_version_id FROM dataset_versions v JOIN datasets d ON d.id = v.dataset_id
ORDER BY v.created_at, v.name
