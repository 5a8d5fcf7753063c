SELECT zone FROM models WHERE id = $model
