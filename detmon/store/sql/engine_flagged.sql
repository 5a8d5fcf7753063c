-- How many selected predictions of each batch are new items, and how many were items before.
SELECT batch_id, count(*) FILTER (WHERE i.item_id IS NULL) AS flagged, count(i.item_id) AS already_flagged
FROM chosen LEFT JOIN items i USING (item_id) GROUP BY batch_id
