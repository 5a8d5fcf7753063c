SELECT name, id FROM datasets ORDER BY name
