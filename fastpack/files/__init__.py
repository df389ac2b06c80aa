"""Files on disk: shards, names of sets, image folders and atomic writes."""
