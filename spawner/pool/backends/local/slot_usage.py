"""How slots are used, as control groups, /proc and the logs of connections tell."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from spawner.pool.backends.base import SlotUse
from spawner.pool.backends.local import cgroup, traffic, usage
from spawner.pool.backends.local.slot_folder import orders_of, status_of

MOST_PLACES = 20
"""Places with a port of interest that are kept of one slot."""


class UsageReader:
    """Reads the slots below `folder`. `traffic_folder`: as of the backend; `has_own_network`: whether each slot has."""

    def __init__(self, folder: Path, *, traffic_folder: Path | None, has_own_network: bool) -> None:
        self._folder = folder
        self._traffic = traffic_folder
        self._has_own_network = has_own_network
        self._contacts: dict[str, tuple[tuple[str, ...], int]] = {}

    def forget_others(self, slot_ids: Collection[str]) -> None:
        """Keep what is known of these slots only."""
        self._contacts = {one: self._contacts[one] for one in slot_ids if one in self._contacts}

    def of_slot(self, slot_id: str, ports: frozenset[int] | None) -> SlotUse:
        """What a slot has used since its start, and the places with one of `ports` that it has reached."""
        keeper = status_of(self._folder / slot_id).get("pid")
        group = orders_of(self._folder / slot_id).get("group")
        seconds = cgroup.cpu_seconds(cgroup.Group(**group)) if group else None
        looks = ports is not None or seconds is None
        processes = list(usage.below(int(keeper))) if keeper and looks else []
        return SlotUse(
            seconds=sum(map(usage.seconds, processes)) if seconds is None else seconds,
            names=() if ports is None else tuple(sorted({name for one in processes for name in usage.names(one)})),
            places=() if ports is None else self._places(slot_id, ports),
            network=self._network_bytes(int(keeper)) if keeper else None,
        )

    def _places(self, slot_id: str, ports: frozenset[int]) -> tuple[str, ...]:
        places, read = self._contacts.get(slot_id, ((), 0))
        if self._traffic is not None:
            new, read = traffic.contacts(self._traffic, slot_id, ports, after=read)
            places = tuple(dict.fromkeys((*places, *new)))[:MOST_PLACES]
            self._contacts[slot_id] = places, read
        return places

    def _network_bytes(self, keeper: int) -> int | None:
        """None where slots share this machine's network, whose counters are everybody's."""
        if not self._has_own_network:
            return None
        sandboxes = (one for one in usage.children(keeper) if "bwrap" in usage.names(one))
        first = next(sandboxes, None)
        return None if first is None else usage.network_bytes(first)
