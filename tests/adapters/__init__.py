"""The adapters, each beside its framework: a package, since there is a conftest here too."""
