-- The rows of `verdicts` whose id is new; `line` is their number.
CREATE TEMP TABLE unresolved AS
SELECT * RENAME (line AS n) FROM verdicts v
WHERE NOT EXISTS (SELECT 1 FROM feedback f WHERE f.feedback_id = v.feedback_id)
