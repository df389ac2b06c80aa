"""Orders: which sample stands at which position."""
