-- Pairs whose candidates have to be partnered one by one.
SELECT pair, candidates FROM compared WHERE agree IS NULL
