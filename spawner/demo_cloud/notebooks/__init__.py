"""Notebook instances of the demo cloud: life cycle, files, Jupyter endpoints, billing."""
