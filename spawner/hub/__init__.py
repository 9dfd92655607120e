"""What runs inside JupyterHub: thin glue. Decisions are the pool's."""
