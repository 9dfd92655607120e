"""One pod per slot in a Kubernetes namespace."""
