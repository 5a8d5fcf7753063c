-- Images in which each label occurs.
SELECT label, count(*) AS n
FROM (SELECT unnest(list_distinct(list_transform(detections, lambda d: d.label))) AS label FROM ({rows}))
GROUP BY ALL
