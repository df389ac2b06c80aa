"""HDF5: a writer for each layout, and the indexer, also for files of other programs."""
