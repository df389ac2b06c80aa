"""Files on disk: shards, names of sets, image folders, and writing of complete files."""
