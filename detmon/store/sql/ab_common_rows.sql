-- The rows of images that both models saw, with one unit an image, in the slot in which the second answer came.
SELECT r.* REPLACE (c.slot AS slot, c.unit AS unit)
FROM ({rows}) AS r JOIN (
    SELECT image_id, source, max(slot) AS slot, min(unit) AS unit
    FROM ({rows}) GROUP BY image_id, source HAVING bool_or(b) AND NOT bool_and(b)
  ) AS c ON r.image_id = c.image_id AND r.source IS NOT DISTINCT FROM c.source
