"""Reads what pods use from the answer of the metrics API. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from spawner.pool.backends.base import SlotUse, Unseen, Usage
from spawner.pool.backends.kubernetes.manifest import CONTAINER, SLOT_LABEL, pod_name

UNITS = {"n": 1e-9, "u": 1e-6, "m": 1e-3}
Json = Mapping[str, Any]


def read_usage(status: int, answer: Json, slot_ids: Collection[str]) -> Usage:
    """What these slots use. Without a metrics server the API is not there (404), or does not answer (503)."""
    if status in (401, 403):
        return Usage({}, unseen=Unseen.MAY_NOT_READ_METRICS)
    if status != 200:
        return Usage({}, unseen=Unseen.NO_METRICS)
    by_name = {pod_name(slot_id): slot_id for slot_id in slot_ids}
    found: dict[str, SlotUse] = {}
    for pod in answer.get("items", ()):
        metadata = pod["metadata"]
        slot_id = str((metadata.get("labels") or {}).get(SLOT_LABEL) or by_name.get(metadata["name"]))
        if slot_id in slot_ids:
            found[slot_id] = SlotUse(processors=_processors(pod), stamp=str(pod.get("timestamp") or ""))
    return Usage(found)


def _processors(pod: Json) -> float | None:
    """None where the notebook is not in the answer, or with a quantity that cannot be read: unknown is not unused."""
    used = [one["usage"].get("cpu", "") for one in pod.get("containers", ()) if one["name"] == CONTAINER]
    return _number(used[0]) if used else None


def _number(quantity: str) -> float | None:
    """A quantity of processors: 2, 250m, 12u, 123456n."""
    unit = UNITS.get(quantity[-1:], 1.0)
    try:
        return float(quantity.rstrip("num")) * unit
    except ValueError:
        return None
