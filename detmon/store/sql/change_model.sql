UPDATE models SET name = $name, version = $version, uri = $uri, zone = $zone WHERE id = $id
