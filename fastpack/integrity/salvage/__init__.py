"""Salvage of the whole records of damaged files."""
