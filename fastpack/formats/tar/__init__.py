"""tar files as in WebDataset: writer and indexer."""
