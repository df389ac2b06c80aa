"""Loaders that read from an object store, each run in an interpreter of its own.

A variant is where the samples come from:

- "none": the store, without a cache on disk.
- "cold": the store, with an empty cache folder; each epoch has a new process.
- "warm": the store, with a cache folder that has the whole set.
- "local": files on a local disk.
"""
