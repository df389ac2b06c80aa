"""Shared by all folders: schemas, ragged columns, dtypes, limits, random numbers, threads."""
