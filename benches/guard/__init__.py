"""The guard: has a kernel become slower? python -m benches.guard"""
