"""The queue: which requests get a slot now, which wait, and how long."""
