"""The index: the table of a dataset's samples."""
