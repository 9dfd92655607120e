"""The queue: who gets a slot now, who waits, and how long."""
