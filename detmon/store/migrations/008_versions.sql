-- What a server says of the content of a remote object (size and time, or an ETag): the object need not be copied again.
ALTER TABLE batches ADD COLUMN version VARCHAR;
