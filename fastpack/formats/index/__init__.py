"""The table of a dataset's samples."""
