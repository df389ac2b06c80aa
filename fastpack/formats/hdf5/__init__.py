"""HDF5: writers of its layouts, and an indexer for our files and other programs' files."""
