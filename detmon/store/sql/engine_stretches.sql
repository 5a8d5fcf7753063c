CREATE OR REPLACE TEMP TABLE stretches AS
SELECT unnest($batches) AS batch_id, unnest($firsts) AS first, unnest($lasts) AS last
