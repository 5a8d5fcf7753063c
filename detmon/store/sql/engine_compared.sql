-- Pairs that cannot be said to agree: `agree` is false where some box has no partner of its label at all; where boxes
-- have several, it is NULL and `candidates` (mine, theirs, IoU) decide.
CREATE OR REPLACE TEMP TABLE compared AS
WITH candidates AS (
  SELECT * FROM (
    SELECT pair, mine, theirs, shared / (mine_area + their_area - shared) AS iou FROM (
      SELECT m.pair, m.n AS mine, t.n AS theirs, m.w * m.h AS mine_area, t.w * t.h AS their_area,
        greatest(0, least(m.x + m.w, t.x + t.w) - greatest(m.x, t.x))
          * greatest(0, least(m.y + m.h, t.y + t.h) - greatest(m.y, t.y)) AS shared
      FROM boxes m JOIN boxes t ON t.pair = m.pair AND t.label = m.label
      WHERE NOT m.theirs AND t.theirs))
  WHERE iou >= $iou),
found AS (
  SELECT pair, count(DISTINCT mine) AS mine, count(DISTINCT theirs) AS theirs, count(*) AS n,
    list((mine, theirs, iou)) AS candidates
  FROM candidates GROUP BY pair),
counted AS (
  SELECT pair, count(*) FILTER (WHERE NOT theirs) AS mine, count(*) FILTER (WHERE theirs) AS theirs
  FROM boxes GROUP BY pair)
SELECT c.pair, CASE WHEN f.mine = c.mine AND f.theirs = c.theirs AND c.mine = c.theirs THEN NULL ELSE false END AS agree,
  f.candidates
FROM counted c LEFT JOIN found f USING (pair)
WHERE NOT coalesce(f.mine = c.mine AND f.theirs = c.theirs AND f.n = c.mine AND c.mine = c.theirs, false)
