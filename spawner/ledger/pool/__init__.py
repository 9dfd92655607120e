"""Rows and queries of the free pool."""
