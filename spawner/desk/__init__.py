"""The desk: the pages and the JSON API that people use. A JupyterHub service that acts with the user's own token."""
