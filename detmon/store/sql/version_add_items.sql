-- Each group's images go to its side.
INSERT INTO version_items BY NAME
SELECT $version AS version_id, c.* EXCLUDE (reason, boxes_only, split), coalesce(s.split, c.split) AS split
FROM chosen c LEFT JOIN sides s ON s.split_group = c.split_group
WHERE c.reason IS NULL
ORDER BY c.image_key
