"""Benchmarks: fastpack and the plainest program that does the same work. See README.md."""
