"""What an administrator can do so that a machine type or image of the catalog becomes available."""

from __future__ import annotations

from spawner.pool.backends.base import Unavailable

REMEDIES: dict[Unavailable, str] = {
    Unavailable.NO_GPU: "GPUs are available where Freepool runs on Kubernetes with GPU servers.",
    Unavailable.TOO_LITTLE_MEMORY: "It needs a server with more memory.",
    Unavailable.KUBERNETES_ONLY: "It is available where Freepool runs on Kubernetes.",
    Unavailable.NOT_ON_KUBERNETES: "Its container image must be named in the catalog.",
    Unavailable.NOT_INSTALLED: "The administrator can install it: “make run HEAVY=1” installs the PyTorch image.",
}
"""In English; the desk translates them."""
