-- The version of each remote object that was read to its end last.
SELECT path, arg_max(version, batch_id) FROM batches WHERE complete AND version IS NOT NULL GROUP BY path
