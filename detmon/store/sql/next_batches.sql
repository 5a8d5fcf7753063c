SELECT min(id) FROM (SELECT nextval('batch_seq') AS id FROM range($n))
