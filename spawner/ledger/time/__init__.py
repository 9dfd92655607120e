"""Rows of time: what people were given, what is set aside for a run, what it used, and what was said before its end."""
