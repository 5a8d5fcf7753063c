-- The predictions of `rows` whose bucket is below the highest rate among the conditions that hold. Hashes are compared as
-- text with the rate's first digits, which is twice as fast as numbers. `chance`: some condition holds (checked before
-- anything is hashed). The braces take constants of detmon.data_engine, never values.
CREATE OR REPLACE TEMP TABLE drawn AS
SELECT {columns} FROM ({rows}) AS p WHERE {chance} AND sha256($salt || ':' || p.prediction_id) < {below}
