SELECT salt, val_share FROM dataset_versions WHERE id = $version
