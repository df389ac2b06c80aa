"""What of a damaged file is still whole."""
