"""Rows and queries of paid instances."""
