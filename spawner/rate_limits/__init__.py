"""Limits of how often an address and a person may log in, start and ask: the same rules in proxy, hub and desk."""
