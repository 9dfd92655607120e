"""A Kubernetes namespace as a pool: its manifests, its API, and what is known of its pods."""
