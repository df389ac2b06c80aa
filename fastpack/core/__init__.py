"""What all parts share: batches, schemas, dtypes, limits, random numbers, threads."""
