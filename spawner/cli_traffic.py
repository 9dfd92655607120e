"""`freepool traffic`: whose notebook used an address, from a terminal.

On one machine from the keepers' logs of connections. On a cluster the nodes' flow logs name pods' addresses, and this
says whose pod had one.
"""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from spawner.catalog import echo
from spawner.cli_warm import local_time
from spawner.errors import BadOption
from spawner.ledger import Instance, Ledger, open_ledger
from spawner.ledger.people import people
from spawner.ledger.pool import whereabouts
from spawner.pool.backends.local import traffic
from spawner.pool.build import utc_now
from spawner.settings import Settings

WHY = {"full": "its file reached its largest size", "missed": "there were more connections than could be written"}


@dataclass(frozen=True)
class Question:
    """An address, maybe a port, and the time of interest."""

    address: str
    port: int | None
    begins: datetime | None
    ends: datetime | None
    user: str | None

    def includes(self, at: datetime, until: datetime) -> bool:
        """Whether a span of time meets the time of interest."""
        return (self.ends is None or at <= self.ends) and (self.begins is None or until >= self.begins)


def run(settings: Settings, options: argparse.Namespace, say: Callable[[str], object]) -> None:
    """Print who it was. Raises `BadOption`."""
    question = _question(options)
    ledger = open_ledger(settings.ledger)
    try:
        lines = _pods(ledger, question) if settings.kubernetes is not None else _connections(settings, ledger, question)
    finally:
        ledger.close()
    say("\n".join(lines or [_nothing(settings)]) + "\n")


def _question(options: argparse.Namespace) -> Question:
    address, port = parse_place(options.address)
    at = local_time(options.at) if options.at else None
    slack = timedelta(minutes=options.minutes)
    return Question(address, port, at and at - slack, at and at + slack, options.user)


def parse_place(text: str) -> tuple[str, int | None]:
    """`203.0.113.7`, `203.0.113.7:443`, `2001:db8::7` or `[2001:db8::7]:443`. Raises `BadOption`."""
    host, port = text, ""
    if text.startswith("[") and "]" in text:
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        return str(ipaddress.ip_address(host)), int(port) if port else None
    except ValueError:
        raise BadOption(
            "{value} is not an IP address.",
            next_step="Write 203.0.113.7, 203.0.113.7:443 or [2001:db8::7]:443. The logs have no names.",
            value=echo(text),
        ) from None


def _connections(settings: Settings, ledger: Ledger, question: Question) -> list[str]:
    uses = traffic.find(settings.traffic_dir, question.address, question.port)
    of_slot = ledger.read(whereabouts.of_slots, [use.slot_id for use in uses])
    names = ledger.read(people.names, [instance.person_id for instance in of_slot.values()])
    why_not_whole = traffic.incomplete(settings.traffic_dir)
    lines = []
    for use in uses:
        instance = of_slot.get(use.slot_id)
        at = datetime.fromtimestamp(use.at, UTC)
        until = datetime.fromtimestamp(use.until, UTC) if use.until else (instance and instance.ended_at) or utc_now()
        if not question.includes(at, until) or not _is_user(question, instance, names):
            continue
        size = "" if use.bytes is None else f", {use.bytes} bytes"
        place = f"{use.protocol} {_place(use.address, use.port)}"
        lines.append(
            f"{_span(at, until)}  {place}  {use.count} connection(s){size}  {_who(instance, names, use.slot_id)}"
        )
        lines += [
            f"  not all of this notebook's connections are known: {WHY[why]}"
            for why in why_not_whole.get(use.slot_id, ())
        ]
    return lines


def _pods(ledger: Ledger, question: Question) -> list[str]:
    found: Sequence[Instance] = ledger.read(whereabouts.at_address, question.address)
    names = ledger.read(people.names, [instance.person_id for instance in found])
    lines = []
    for one in found:
        until = one.ended_at or utc_now()
        if question.includes(one.requested_at, until) and _is_user(question, one, names):
            who = _who(one, names, one.slot_id or "")
            lines.append(f"{_span(one.requested_at, until)}  pod {question.address}  {who}")
    return lines


def _is_user(question: Question, instance: Instance | None, names: dict[str, str]) -> bool:
    if question.user is None:
        return True
    if instance is None:
        return False
    return question.user in (instance.person_id, instance.user_name, names.get(instance.person_id))


def _who(instance: Instance | None, names: dict[str, str], slot_id: str) -> str:
    if instance is None:
        return f"no user's notebook, or one whose row is deleted (slot {slot_id})"
    name = names.get(instance.person_id, instance.user_name)
    return f"{name} ({instance.person_id})  instance {instance.id}"


def _place(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _span(at: datetime, until: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S} UTC"


def _nothing(settings: Settings) -> str:
    if settings.kubernetes is not None:
        return "No notebook's pod had this address then. See also the network's flow logs: docs/kubernetes.md."
    if not settings.network.log_days:
        return "Connections are not logged here (network.log_days is 0)."
    return f"No notebook had a connection to it then. The log goes back {settings.network.log_days:g} days."
