-- Versions of datasets: manifests that nothing changes or removes once they are written. No key on the items: whoever
-- makes a version leaves out doubles.
CREATE TABLE dataset_versions(
  id VARCHAR PRIMARY KEY, dataset_id VARCHAR NOT NULL, parent_version_id VARCHAR, name VARCHAR NOT NULL,
  origin VARCHAR /* where given labels were read; NULL: reviews */, salt VARCHAR NOT NULL, val_share DOUBLE NOT NULL,
  items BIGINT NOT NULL, digest VARCHAR NOT NULL /* sha256 over the items' canonical lines */,
  created_at TIMESTAMP NOT NULL, UNIQUE(dataset_id, name));
CREATE TABLE version_items(
  version_id VARCHAR NOT NULL, item_id VARCHAR NOT NULL, image_key VARCHAR NOT NULL /* tells images of a version apart */,
  image_id VARCHAR NOT NULL, image_uri VARCHAR, source VARCHAR, taken_at TIMESTAMP /* UTC */,
  image_width INTEGER, image_height INTEGER /* pixels */,
  annotations STRUCT(label VARCHAR, x DOUBLE, y DOUBLE, w DOUBLE, h DOUBLE)[] NOT NULL /* pixels, sorted */,
  split VARCHAR NOT NULL /* train | val | test */, split_group VARCHAR /* what stays on one side; NULL: split was given */,
  prediction_id VARCHAR, model_id VARCHAR /* NULL: given labels */);
-- Items that would be in a version, were their labels complete.
CREATE TABLE version_left_out(
  version_id VARCHAR NOT NULL, item_id VARCHAR NOT NULL, image_id VARCHAR NOT NULL, image_uri VARCHAR,
  reason VARCHAR NOT NULL);
