-- Detections a label and place or source.
SELECT key, label, count(*) AS n
FROM (SELECT {key} AS key, unnest(list_transform(detections, lambda d: d.label)) AS label FROM ({rows}))
GROUP BY ALL
