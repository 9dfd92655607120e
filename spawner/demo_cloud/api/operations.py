"""The operations of the cloud's API, and the calls that they receive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from spawner.demo_cloud.accounts import Caller
from spawner.demo_cloud.world import World

Answer = dict[str, Any]


@dataclass(frozen=True)
class ApiCall:
    """An authenticated call. `subject`: instance id in its path or query; `when`: virtual time."""

    caller: Caller
    region: str
    query: Mapping[str, str]
    body: Mapping[str, Any]
    subject: str
    when: datetime


@dataclass(frozen=True)
class Operation:
    """`actions`: its names in RAM policies; empty if no permission is needed."""

    service: str
    run: Callable[[World, ApiCall], Answer]
    actions: tuple[str, ...] = ()
    mutates: bool = False
    on_instance: bool = False
