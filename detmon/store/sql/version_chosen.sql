-- What a version holds: what is new, and what its parent held of which there is nothing newer; one item an image, the
-- newest prediction of it. `reason`: why an item is left out.
CREATE OR REPLACE TEMP TABLE chosen AS
WITH found AS (
  SELECT *, 0 AS age FROM candidates
  UNION ALL BY NAME
  SELECT * EXCLUDE (version_id), 1 AS age FROM version_items
  WHERE version_id = $parent AND item_id NOT IN (SELECT item_id FROM candidates)),
placed AS (
  SELECT *, row_number() OVER (PARTITION BY image_key
    ORDER BY reason IS NOT NULL, age, taken_at DESC, item_id) AS place FROM found)
SELECT * EXCLUDE (age, place, reason), CASE WHEN place > 1 AND reason IS NULL THEN 'same_image' ELSE reason END AS reason
FROM placed WHERE place = 1 OR age = 0
