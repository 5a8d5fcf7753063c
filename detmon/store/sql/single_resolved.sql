-- A prediction that is stored twice (sent again days later) answers once.
DELETE FROM resolved WHERE rowid NOT IN (SELECT min(rowid) FROM resolved GROUP BY n)
