SELECT (SELECT count(*) FROM unresolved) AS new, (SELECT coalesce(max(n), 0) FROM unresolved) AS last, count(*) AS found,
  count(*) FILTER (WHERE fault IS NULL) AS accepted, count(*) FILTER (WHERE vague AND fault IS NULL) AS vague
FROM resolved
