"""Containers: a folder or module for each file format."""
