"""The guard: detects kernels that became slower. python -m benches.guard"""
