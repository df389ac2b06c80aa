"""HDF5: writers of its layouts, and the indexer of files that others wrote."""
