-- How many new items have each reason.
SELECT reason, count(*) AS n FROM (
  SELECT unnest(reasons) AS reason FROM chosen ANTI JOIN items USING (item_id))
GROUP BY reason ORDER BY reason
