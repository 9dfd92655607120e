"""Rows of bundles: files that people chose to have kept after an end that they did not ask for."""
