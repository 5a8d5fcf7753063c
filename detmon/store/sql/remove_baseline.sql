DELETE FROM baselines WHERE model_id = $id
