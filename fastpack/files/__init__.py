"""Files on disk: shards, their names, and how they are written whole."""
