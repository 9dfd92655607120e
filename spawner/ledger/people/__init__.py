"""Rows and queries of people: who a user of JupyterHub is, under whatever name."""
