-- A run: whoever began one before it sees that its picture is old.
UPDATE engines SET runs = runs + 1 WHERE engine_id = $engine
