UPDATE engines SET removed_at = $now, runs = runs + 1 WHERE engine_id = $id
