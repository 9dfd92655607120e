"""An app on a port of a notebook."""
