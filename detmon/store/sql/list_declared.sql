SELECT kind, id FROM declared ORDER BY kind, id
