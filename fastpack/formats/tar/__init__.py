"""tar, as WebDataset has it: writer and indexer."""
