"""Helpers of the tests: makers of files, and what several test files share."""
