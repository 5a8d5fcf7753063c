-- The contents that were read to their end before.
SELECT DISTINCT sha256 FROM batches WHERE complete AND sha256 IS NOT NULL
