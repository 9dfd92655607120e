"""Users with a linked account of the demo cloud, who do by calls what they would do on the desk's pages."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
from sqlalchemy import Connection, update

from spawner.ledger import Ledger, leases
from spawner.ledger.paid import bindings, orders
from spawner.ledger.paid.rows import BindingState, Consent, Order, OrderState
from spawner.ledger.paid.tables import orders as table
from spawner.paid.accounts.binding import EXTERNAL_ID_BYTES, external_id
from spawner.paid.build import close, make_paid, new_id, utc_now
from spawner.paid.consent import service as consent_service
from spawner.paid.consent.rules import Chosen
from spawner.paid.money import Money
from spawner.paid.orders import reconciler
from spawner.paid.orders import service as order_service
from spawner.paid.orders.service import START_TOKEN, answer_token, start_token
from spawner.paid.paid import Paid
from tests.cloud.steer import HANGZHOU, Steer
from tests.paid.make import make_binding
from tests.stack import NO_TLS, Stack, eventually

SMALL = "ecs.g6.large"
FIRST_ACCOUNT = 3000000000000000
NUMBERS = itertools.count()
"""For unique account ids: one demo cloud serves many tests."""
SESSION = "5e55"
KILLED = ("hub", "desk", "steward")


@dataclass
class Platform:
    """A stack with the demo cloud beside it."""

    stack: Stack
    cloud: Steer
    ledger: Ledger

    def kill(self, *names: str) -> None:
        """kill -9 of these processes at once. The lease and the locks of a killed steward are released at once."""
        pids = [pid for name in names for pid in self.stack.pids(name)]
        assert len(pids) == len(names)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        if "steward" in names:
            holder = self.ledger.read(leases.holder_of, reconciler.LEASE, now=utc_now())
            self.ledger.write(leases.release, reconciler.LEASE, holder=holder or "")
            self.ledger.write(lambda connection: connection.execute(update(table).values(busy_until=None)))
        eventually(lambda: all(set(self.stack.pids(name)) - set(pids) for name in names), what="their return")
        eventually(self.answers, seconds=60, what="the platform")

    def answers(self) -> bool:
        try:
            return all(
                self.stack.http.get(f"{self.stack.url}/{path}", timeout=5).status_code == 200
                for path in ("hub/health", "services/desk/health")
            )
        except httpx.HTTPError:
            return False

    def creates(self, since: int) -> list[str]:
        """Names in the cloud's CreateInstance calls."""
        calls = self.cloud.calls(action="CreateInstance", since=since)
        return [str(call.params["InstanceName"]) for call in calls]


class Person:
    """A user with a linked account."""

    def __init__(self, platform: Platform, name: str) -> None:
        self.platform, self.name = platform, name
        self.account = account = str(FIRST_ACCOUNT + next(NUMBERS))
        platform.cloud.account(account, name=name)
        platform.stack.add_user(name)
        self.token = platform.stack.user_token(name)
        self.since = str(platform.stack.api("GET", f"/users/{name}").json()["created"])
        known = platform.stack.api("POST", "/freepool/person", token=self.token)
        self.person_id = str(known.json()["person"])
        linked = make_binding(
            new_id(), BindingState.ACTIVE, person_id=self.person_id, user_name=name, user_since=self.since,
            account_id=account, workspaces={}, external_id=external_id(os.urandom(EXTERNAL_ID_BYTES)), role="",
            proven_at=utc_now(), probed_at=utc_now(),
        )  # fmt: skip
        arn = platform.cloud.role(linked.external_id, account=account, name=f"Freepool-{name}")

        def link(connection: Connection) -> None:  # at once: the reconciler loses an account that has no role
            bindings.prove(connection, linked)
            bindings.activate(connection, linked.id, role=arn, workspaces={}, now=utc_now())

        platform.ledger.write(link)
        self.binding = platform.ledger.read(bindings.get, linked.id)

    # -- the desk's calls

    def agree(self, server: str, *, order: Order | None = None) -> Consent:
        """Ask for a quote and accept it."""

        async def ask(paid: Paid) -> Consent:
            chosen = Chosen(server, Money(Decimal("2.60"), "CNY"), 3600, idle_seconds=1800)
            offered = await consent_service.offer(
                paid,
                self.binding,
                HANGZHOU,
                SMALL,
                chosen,
                session=SESSION,
                language="en",
                token_of=self.answer,
                order=order,
            )
            return await consent_service.accept(
                paid, offered.id, person_id=self.person_id, session=SESSION,
                token=self.answer(offered.id),
            )  # fmt: skip

        return self._as_desk(ask)

    def answer(self, consent_id: str) -> str:
        return answer_token(self.platform.stack.settings.secret("desk"), consent_id)

    def one_time_token(self, consent: Consent) -> str:
        return start_token(self.platform.stack.settings.secret("desk"), consent.id)

    def start(self, consent: Consent, **kwargs: Any) -> httpx.Response:
        """The desk's start request after consent, with this user's token."""
        options = {"user_options": {START_TOKEN: self.one_time_token(consent)}}
        return self.post(consent.server_name, **{"token": self.token, "json": options, **kwargs})

    def post(self, server: str, **kwargs: Any) -> httpx.Response:
        return self.platform.stack.api("POST", f"/users/{self.name}/servers/{server}", **kwargs)

    @contextmanager
    def clicking(self, consent: Consent) -> Iterator[None]:
        """Start in the background while the block runs. The answer is ignored."""
        with ThreadPoolExecutor(1) as thread:
            click = thread.submit(self.start, consent)
            yield
            failed = click.exception()
            assert failed is None or isinstance(failed, httpx.HTTPError)

    def _as_desk(self, act: Callable[[Paid], Any]) -> Any:
        async def run() -> Any:
            settings = self.platform.stack.settings.paid
            assert settings is not None
            paid = make_paid(settings, self.platform.ledger)
            try:
                return await act(paid)
            finally:
                await close(paid)

        return asyncio.run(run())

    # -- the user's actions and views

    def delete(self, server: str) -> None:
        order_id, who = self.order(server).id, {"person_id": self.person_id, "by": self.name}
        self.platform.ledger.write(order_service.want_delete, order_id, **who, now=utc_now())

    def stop(self, server: str) -> httpx.Response:
        return self.platform.stack.api("DELETE", f"/users/{self.name}/servers/{server}", token=self.token)

    def billed(self) -> list[dict[str, Any]]:
        """Instances in the user's cloud account."""
        return self.platform.cloud.instances(self.account)

    def order(self, server: str) -> Order:
        found = self.platform.ledger.read(orders.of_server, self.person_id, server)
        assert found is not None
        return found

    def wait(self, server: str, is_so: Callable[[Order], bool], *, what: str) -> Order:
        eventually(lambda: is_so(self.order(server)), seconds=60, what=what)
        return self.order(server)

    def appears(self, server: str) -> None:
        eventually(lambda: self.platform.ledger.read(orders.of_server, self.person_id, server), what="the order")

    def wait_running(self, server: str) -> Order:
        return self.wait(server, is_running, what="the running instance")

    def wait_state(self, server: str, *states: OrderState) -> Order:
        return self.wait(server, lambda order: order.state in states, what=" or ".join(states))

    def server(self, server: str) -> dict[str, Any] | None:
        """JupyterHub's model of a server that runs or is pending."""
        model = self.platform.stack.api("GET", f"/users/{self.name}").json()
        found: dict[str, Any] | None = model["servers"].get(server)
        return found

    @contextmanager
    def browser(self) -> Iterator[httpx.Client]:
        """An HTTP client that is signed in at the desk."""
        with httpx.Client(follow_redirects=True, timeout=30, verify=NO_TLS) as client:
            assert client.get(self.platform.stack.link_for(self.name)).status_code == 200
            yield client


def is_running(order: Order) -> bool:
    return order.state is OrderState.ACTIVE and order.remote_state == "running" and order.auto_stop_set_at is not None
