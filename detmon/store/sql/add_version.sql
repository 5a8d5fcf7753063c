INSERT INTO dataset_versions(id, dataset_id, parent_version_id, name, origin, salt, val_share, items, digest, created_at)
VALUES ($id, $dataset, $parent, $name, $origin, $salt, $val_share, $items, $digest, $now)
