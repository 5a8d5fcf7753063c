-- The old rows that stay. They are written anew: DuckDB gives back the room of row groups in which no row is left.
CREATE TEMP TABLE kept AS
SELECT * FROM predictions AS p WHERE ts < $before AND NOT EXISTS (SELECT 1 FROM prunable AS r WHERE r.row = p.rowid)
ORDER BY ts
