"""Freepool on one machine: the supervisor behind `freepool up`, and what it looks at before it starts anything."""
