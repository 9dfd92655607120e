"""How an instance is used, and when it is stopped for being idle. Pure: looks in, activity out."""
