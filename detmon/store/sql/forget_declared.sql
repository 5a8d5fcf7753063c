DELETE FROM declared WHERE kind = $kind AND id = $id
