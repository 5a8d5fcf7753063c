-- The groups of images whose split is open, how many images each has, and the side on which the parent had them.
SELECT c.split_group, count(*) AS images, any_value(p.split) AS held
FROM chosen c LEFT JOIN (
  SELECT DISTINCT split_group, split FROM version_items WHERE version_id = $parent AND split_group IS NOT NULL) p USING (split_group)
WHERE c.reason IS NULL AND c.split_group IS NOT NULL
GROUP BY c.split_group ORDER BY c.split_group
