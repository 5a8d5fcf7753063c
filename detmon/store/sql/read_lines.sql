-- Records of a JSON Lines file: the fields in $columns (name → type).
SELECT *
FROM read_json($file, format = 'newline_delimited', maximum_object_size = 16777217, columns = $columns)
