CREATE OR REPLACE TEMP TABLE selected(
  prediction_id VARCHAR, ts TIMESTAMP, source VARCHAR, batch_id INTEGER, probability DOUBLE, reasons VARCHAR[])
