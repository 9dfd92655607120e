"""Time: how long instances run, and how they are used."""
