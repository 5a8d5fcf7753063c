SELECT * FROM drawn
