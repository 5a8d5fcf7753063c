SELECT d.id, d.name, d.created_at, count(*) FILTER (WHERE i.status = 'needs_review') AS needs_review,
  count(*) FILTER (WHERE i.status = 'reviewed') AS reviewed, count(*) FILTER (WHERE i.status = 'ignored') AS ignored
FROM datasets d LEFT JOIN item_states i ON i.dataset_id = d.id
GROUP BY d.id, d.name, d.created_at ORDER BY d.name
