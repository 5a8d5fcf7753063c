-- Units, and those of them whose arm is not the one that the hash says; of one unit in $part.
SELECT count(*), count(*) FILTER (WHERE b <> (CAST('0x' || substr(sha256($salt || ':' || unit), 1, 13) AS BIGINT)
  / 4503599627370496.0 < $split))
FROM (SELECT CAST(unit AS VARCHAR) AS unit, bool_or(b) AS b FROM ({rows})
  WHERE unit IS NOT NULL AND hash(unit) % $part::UBIGINT = 0 GROUP BY unit)
