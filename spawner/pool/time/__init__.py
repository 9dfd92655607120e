"""Time: what people have left of a week, what a run may and did use, what is said before its end, and how it moves."""
