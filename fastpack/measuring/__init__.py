"""How fast a dataset is read on this machine, and what binds it."""
