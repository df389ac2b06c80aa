"""TFRecord: writer and indexer."""
