"""Pages of terms and privacy, and their acceptance."""
