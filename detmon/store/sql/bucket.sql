CAST('0x' || substr(sha256($salt || ':' || prediction_id), 1, 13) AS BIGINT) / 4503599627370496.0
