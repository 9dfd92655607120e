"""Freepool: free, ephemeral notebooks.

The package is also put into every instance (`spawner.instance`), where start-up time is what people feel, so
importing it must be cheap: the spawner class is imported on first access.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spawner.hub.spawner import InstanceSpawner

__all__ = ["InstanceSpawner", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "InstanceSpawner":
        from spawner.hub.spawner import InstanceSpawner  # noqa: PLC0415  (see above: not before it is needed)

        return InstanceSpawner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
