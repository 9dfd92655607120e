"""The paid path: an instance in a person's own cloud account, after a recorded yes, and never a cent without it."""
