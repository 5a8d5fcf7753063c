-- The images that only one of two versions holds, and those whose labels, split or address differ.
WITH a AS (SELECT * FROM version_items WHERE version_id = $a),
b AS (SELECT * FROM version_items WHERE version_id = $b)
SELECT coalesce(b.item_id, a.item_id) AS item_id, coalesce(b.image_id, a.image_id) AS image_id,
  CASE WHEN a.image_key IS NULL THEN 'added' WHEN b.image_key IS NULL THEN 'removed' ELSE 'changed' END AS change,
  a.split AS split_before, b.split AS split_after, a.annotations AS before, b.annotations AS after
FROM a FULL JOIN b ON a.image_key = b.image_key
WHERE a.image_key IS NULL OR b.image_key IS NULL OR a.annotations <> b.annotations OR a.split <> b.split
ORDER BY change, image_id, item_id
