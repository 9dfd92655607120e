"""Open links: what an address names, and which machine types can open it."""
