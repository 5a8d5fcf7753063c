SELECT a.label, count(*) AS n FROM (SELECT unnest(annotations) AS a FROM version_items WHERE version_id = $version)
GROUP BY a.label ORDER BY a.label
