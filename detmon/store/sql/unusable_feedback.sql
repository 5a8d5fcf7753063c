-- The rows of a file that are no verdicts, with what they say.
SELECT s.line, s.field, s.code, s.fault AS reason, CAST(to_json(g) AS VARCHAR) AS raw
FROM staged s JOIN given g ON g.line = s.line WHERE s.code IS NOT NULL
UNION ALL SELECT line, field, code, reason, raw FROM broken
ORDER BY line
