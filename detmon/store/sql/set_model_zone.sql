UPDATE models SET zone = $zone WHERE id = $id
