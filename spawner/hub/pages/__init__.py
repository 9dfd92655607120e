"""JupyterHub's pages in Freepool's design, in the language of who reads them."""
