"""What an operation of the cloud's API is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from spawner.demo_cloud.accounts import Caller
from spawner.demo_cloud.world import World

Answer = dict[str, Any]


@dataclass(frozen=True)
class Ask:
    """A call that was let in. `subject` is the instance in its path or query; `when` is the time in the cloud."""

    caller: Caller
    region: str
    query: Mapping[str, str]
    body: Mapping[str, Any]
    subject: str
    when: datetime


@dataclass(frozen=True)
class Operation:
    """`actions` are the names by which RAM may know it; none means that everybody who can sign may call it."""

    service: str
    run: Callable[[World, Ask], Answer]
    actions: tuple[str, ...] = ()
    mutates: bool = False
    on_instance: bool = False
