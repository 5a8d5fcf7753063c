-- Images that one reviewer has looked at as a whole in one row, and box by box in another.
WITH scopes AS (
  SELECT prediction_id, coalesce(reviewer, '') AS who, min(scope) AS low, max(scope) AS high FROM unresolved GROUP BY ALL),
before AS (
  SELECT prediction_id, who, min(f.scope) AS low, max(f.scope) AS high
  FROM feedback f JOIN scopes s USING (prediction_id) WHERE coalesce(f.reviewer, '') = s.who
  GROUP BY prediction_id, who)
SELECT count(DISTINCT prediction_id) FROM scopes s LEFT JOIN before b USING (prediction_id, who)
WHERE s.low <> s.high OR s.low <> b.low OR s.high <> b.high
