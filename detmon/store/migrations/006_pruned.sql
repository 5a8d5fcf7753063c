-- What `prune` took: rows of a model before an instant are gone, but for those that reviews and items need -----------
CREATE TABLE pruned(model_id VARCHAR PRIMARY KEY, before TIMESTAMP NOT NULL, predictions BIGINT NOT NULL);
