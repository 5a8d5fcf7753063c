INSERT INTO version_left_out BY NAME
SELECT $version AS version_id, item_id, image_id, image_uri, reason FROM chosen WHERE reason IS NOT NULL ORDER BY item_id
