-- What an engine was told to look for.
SELECT config FROM engines WHERE engine_id = $id
