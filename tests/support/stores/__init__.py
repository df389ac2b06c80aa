"""Real object stores on this machine for tests, and a proxy that makes them fail."""
