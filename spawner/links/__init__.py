"""Open links: what an address asks for, what it needs, and a guarded look at where it leads."""
