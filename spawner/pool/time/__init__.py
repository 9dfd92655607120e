"""Time of running instances: what is said before an end, how an end moves, and what a run uses."""
