"""What administrators announce to everybody, on every page."""
