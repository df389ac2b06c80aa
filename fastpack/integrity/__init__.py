"""Verify, repair and compare datasets."""
