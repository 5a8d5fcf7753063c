SELECT count(*) FILTER (WHERE repeated AND code IS NULL) AS repeated, count(*) FILTER (WHERE zoneless AND code IS NULL) AS zoneless
FROM staged
