UPDATE models SET uri = $uri WHERE id = $id
