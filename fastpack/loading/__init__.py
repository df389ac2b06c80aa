"""Batches in order, read ahead on threads."""
