"""An object store on this machine, and a network before it, for benchmarks."""
