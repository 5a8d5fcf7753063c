SELECT item_id, image_id, image_uri, reason FROM version_left_out WHERE version_id = $version ORDER BY image_id, item_id
