DELETE FROM models WHERE id = $id
