"""The one reader of all formats."""
