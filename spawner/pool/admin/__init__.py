"""What administrators set while the platform runs."""
