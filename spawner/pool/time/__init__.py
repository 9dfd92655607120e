"""Time: what people have left of a week, what is set aside for a run, and what it used."""
