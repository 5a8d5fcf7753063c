SELECT reason, count(*) AS n FROM version_left_out WHERE version_id = $version GROUP BY reason ORDER BY reason
