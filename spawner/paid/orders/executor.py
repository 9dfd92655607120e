"""Execute actions for one order: commit the intent, call the cloud, write the result.

Before a mutating call, the intent and the lock's expiry (`busy_until`) are committed. If the process is killed during
the call, the next one observes the instance first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from spawner.errors import LostRace
from spawner.ledger.paid import audit, bindings, consents, orders
from spawner.ledger.paid.rows import Binding, Block, Consent, ConsentState, NoticeKind, Order, OrderChanges
from spawner.paid.accounts.binding import account_for, may_order
from spawner.paid.consent.rules import change_since
from spawner.paid.creation_pause import is_paused
from spawner.paid.orders.policy import Action, CreationPolicy, NextAction, intent_of, is_fresh, next_action
from spawner.paid.orders.results import (
    CallFailed,
    CallResult,
    InstanceSeen,
    NotListed,
    RequestTaken,
    TermsChanged,
    apply_result,
)
from spawner.paid.orders.updates import OrderUpdate
from spawner.paid.paid import Paid
from spawner.paid.providers.base import (
    Account,
    Capability,
    NotFound,
    OutcomeUnknown,
    Provider,
    ProviderError,
    Request,
    Unavailable,
)
from spawner.paid.rules import Rules

log = logging.getLogger("freepool.paid")
STEWARD = "steward"
MAX_ACTIONS = 3
"""Actions in a row: create, set the auto-stop, describe."""
NO_ANSWER = "The cloud has not answered in time."
NOT_UNDERSTOOD = "The cloud's answer was not understood."


@dataclass(frozen=True)
class OrderSnapshot:
    """The rows that an action is decided from, read at `began`."""

    order: Order
    consent: Consent | None
    binding: Binding
    creation_policy: CreationPolicy
    began: datetime


async def execute(paid: Paid, order: Order, *, has_discovered: bool, since: datetime) -> bool:
    """Execute the next action for an order, and those due at once after it: a new instance gets its auto-stop.

    Consents accepted before `since`, when this process started, create nothing: the user is asked again. False where
    no action is due, or the settings no longer name the cloud or region: the instance then has its auto-stop only.
    Raises `LostRace` where another process changed the order; then nothing is written.
    """
    provider = paid.providers[order.provider] if paid.reaches(order.provider, order.region) else None
    can_set_auto_stop = provider is not None and Capability.AUTO_STOP in provider.capabilities
    for executed in range(MAX_ACTIONS):
        snapshot = await paid.ledger.aread(
            read_snapshot, order.id, has_discovered=has_discovered, since=since, now=paid.now()
        )
        creation_policy = snapshot.creation_policy if provider is not None else CreationPolicy.SHUT
        action = next_action(
            snapshot.order,
            snapshot.consent,
            snapshot.began,
            creation_policy=creation_policy,
            can_set_auto_stop=can_set_auto_stop,
            rules=paid.rules,
        )
        if action.kind is Action.GIVE_UP:
            await _apply(paid, snapshot.order, snapshot, action, None)
            return True
        if action.kind is Action.WAIT or provider is None:
            return executed > 0
        update = await execute_action(paid, provider, snapshot, action)
        next_try_at = update.changes.get("next_try_at")
        if next_try_at is None or next_try_at > paid.now():
            break
    return True


async def execute_action(paid: Paid, provider: Provider, snapshot: OrderSnapshot, action: NextAction) -> OrderUpdate:
    """Execute one action and write its result."""
    executor = _Executor(paid, provider, account_for(snapshot.binding, snapshot.order), snapshot, action)
    result = await executor.run()
    return await _apply(paid, executor.order, snapshot, action, result)


async def _apply(
    paid: Paid, order: Order, snapshot: OrderSnapshot, action: NextAction, result: CallResult | None
) -> OrderUpdate:
    now = paid.now()
    update = apply_result(
        order,
        snapshot.consent,
        action,
        result,
        now,
        was=snapshot.order,
        began=snapshot.began,
        rules=paid.rules,
        jitter=paid.dice(),
    )
    await paid.ledger.awrite(write, order, update, now=now)
    return update


class _Executor:
    """Executes one action. `order` is the row after the last write of this step."""

    def __init__(
        self, paid: Paid, provider: Provider, account: Account, snapshot: OrderSnapshot, action: NextAction
    ) -> None:
        self.paid, self.provider, self.account, self.snapshot, self.action = paid, provider, account, snapshot, action
        self.order = snapshot.order

    async def run(self) -> CallResult | None:
        """Send the calls of the action; None for actions without one."""
        order, provider, account = self.order, self.provider, self.account
        remote_id = order.remote_id or ""
        match self.action.kind:
            case Action.CREATE:
                return await self._check_first(self._create)
            case Action.START:
                return await self._check_first(lambda: self._mutate(lambda: provider.start(account, remote_id)))
            case Action.FIND:
                return await self._call(self._find, was_sent=False)
            case Action.DESCRIBE:
                return await self._call(self._describe, was_sent=False)
            case Action.SET_AUTO_STOP:
                stop_in = self.action.stop_in or 0
                idle = float(self.consent.idle_seconds) if self.consent and self.consent.idle_seconds else None
                if Capability.IDLE_CULLER not in provider.capabilities:
                    idle = None
                return await self._mutate(
                    lambda: provider.set_auto_stop(account, remote_id, stop_in=stop_in, idle=idle)
                )
            case Action.STOP:
                return await self._mutate(lambda: provider.stop(account, remote_id))
            case Action.DELETE:
                return await self._mutate(lambda: provider.delete(account, remote_id))
            case _:
                return None

    @property
    def consent(self) -> Consent | None:
        return self.snapshot.consent

    async def _check_first(self, then: Callable[[], Awaitable[CallResult]]) -> CallResult:
        """Call `then` only if the instance does not exist yet and the offer still equals the consent."""
        assert self.consent is not None
        consent = self.consent

        async def check() -> CallResult | None:
            if self.action.kind is Action.CREATE:
                listed = await self.provider.find(self.account, self.order.name)
                if listed is not None:
                    return InstanceSeen(listed)
            changed = change_since(consent, await self.provider.instance_types(self.account))
            return None if changed is None else TermsChanged(changed)

        return await self._call(check, was_sent=False) or await then()

    async def _create(self) -> CallResult:
        consent, order = self.consent, self.order
        assert consent is not None
        request = Request(
            name=order.name,
            instance_type=order.instance_type,
            labels=self.paid.labels_of(order),
            disk=consent.disk,
            image=consent.image,
        )
        return await self._mutate(lambda: self.provider.create(self.account, request))

    async def _find(self) -> CallResult:
        listed = await self.provider.find(self.account, self.order.name)
        return NotListed() if listed is None else InstanceSeen(listed)

    async def _describe(self) -> CallResult:
        remote_id = self.order.remote_id or ""
        try:
            return InstanceSeen(await self.provider.describe(self.account, remote_id))
        except NotFound:
            # One NotFound is not enough to give up an instance that may be billed: the complete list must agree.
            listed = await self.provider.find(self.account, self.order.name)
            if listed is not None and listed.id == remote_id:
                return InstanceSeen(listed)
            raise

    async def _mutate(self, call: Callable[[], Awaitable[str | None]]) -> CallResult:
        """Commit the intent, then send the call."""
        now = self.paid.now()
        intent = intent_of(self.order, self.action, now, self.paid.rules)
        self.order = await self.paid.ledger.awrite(
            _record_intent, self.order, self.action, intent, now=now, rules=self.paid.rules
        )

        async def send() -> CallResult:
            return RequestTaken(await call())

        result = await self._call(send, was_sent=True)
        assert result is not None
        return result

    async def _call(self, call: Callable[[], Awaitable[CallResult | None]], *, was_sent: bool) -> CallResult | None:
        """Await a call. A timeout or an unexpected exception counts as a lost response."""
        try:
            return await asyncio.wait_for(call(), self.paid.rules.call)
        except TimeoutError:
            log.warning("order %s: %s was not answered in time", self.order.id, self.action.kind)
            return CallFailed((OutcomeUnknown if was_sent else Unavailable)(NO_ANSWER), was_sent)
        except ProviderError as error:
            log.info("order %s: %s: %s", self.order.id, self.action.kind, error.message)
            return CallFailed(error, was_sent)
        except Exception as error:
            # Its message may contain credentials, so it is not logged.
            log.error("order %s: %s raised %s", self.order.id, self.action.kind, type(error).__name__)
            return CallFailed((OutcomeUnknown if was_sent else Unavailable)(NOT_UNDERSTOOD), was_sent)


def read_snapshot(
    connection: Connection, order_id: str, *, has_discovered: bool, now: datetime, since: datetime | None = None
) -> OrderSnapshot:
    """Read the rows that the next action is decided from."""
    order = orders.get(connection, order_id)
    consent = None if order.consent_id is None else consents.find(connection, order.consent_id)
    binding = bindings.get(connection, order.binding_id)
    creation_policy = _creation_policy(connection, binding, has_discovered=has_discovered)
    accepted_at = None if consent is None else consent.accepted_at
    is_old = since is not None and accepted_at is not None and accepted_at < since
    if creation_policy is not CreationPolicy.SHUT and is_old:
        creation_policy = CreationPolicy.TOO_OLD
    return OrderSnapshot(order, consent, binding, creation_policy, now)


def _creation_policy(connection: Connection, binding: Binding, *, has_discovered: bool) -> CreationPolicy:
    if not may_order(binding) or is_paused(connection):
        return CreationPolicy.SHUT
    return CreationPolicy.OPEN if has_discovered else CreationPolicy.NOT_YET


def _record_intent(
    connection: Connection, order: Order, action: NextAction, intent: OrderChanges, *, now: datetime, rules: Rules
) -> Order:
    """Write the intent. Raises `LostRace` if the order has changed or, for CREATE and START, is no longer allowed."""
    orders.update_read(connection, order, intent)
    written = orders.get(connection, order.id)
    if action.kind in (Action.CREATE, Action.START):
        _refuse_unless_allowed(connection, written, now=now, rules=rules)
    audit.note(
        connection,
        order.id,
        at=now,
        by=STEWARD,
        what=action.kind,
        before=order.state,
        after=written.state,
        params={"consent": order.consent_id, **({"reason": str(action.reason)} if action.reason else {})},
    )
    return written


def _refuse_unless_allowed(connection: Connection, order: Order, *, now: datetime, rules: Rules) -> None:
    """Check the rows once more in the transaction that writes the intent. Raising rolls that back."""
    consent = consents.find(connection, order.consent_id or "")
    binding = bindings.get(connection, order.binding_id)
    is_covered = (
        consent is not None
        and consent.state is ConsentState.SPENT
        and (consent.person_id, consent.binding_id, consent.region, consent.instance_type, consent.account_id)
        == (order.person_id, order.binding_id, order.region, order.instance_type, binding.account_id)
        and is_fresh(consent, now, rules)
    )
    if (
        order.is_unwanted
        or not is_covered
        or _creation_policy(connection, binding, has_discovered=True) is not CreationPolicy.OPEN
    ):
        raise LostRace("The order {order} is not to be carried out any more.", order=order.id)


def write(connection: Connection, order: Order, update: OrderUpdate, *, now: datetime) -> None:
    """Write an update: the row, its event, the user's notices, the binding's block."""
    orders.update_read(connection, order, update.changes)
    if update.what:
        audit.note(
            connection,
            order.id,
            at=now,
            by=STEWARD,
            what=update.what,
            before=order.state,
            after=update.changes.get("state", order.state),
            request_id=update.request_id,
            params=update.params,
        )
    for user_notice in update.notices:
        audit.tell(
            connection,
            order,
            user_notice.kind,
            occasion=user_notice.occasion,
            at=now,
            order_id=order.id,
            binding_id=order.binding_id,
            params=user_notice.params,
        )
    if update.block is not None:
        block(connection, order.binding_id, update.block, now=now)


def block(connection: Connection, binding_id: str, why: Block, *, now: datetime) -> None:
    """Block the binding for new instances. Its user gets one notice for each time that it is blocked."""
    binding = bindings.get(connection, binding_id)
    if may_order(binding):
        bindings.block(connection, binding_id, why, now=now)
        binding = bindings.get(connection, binding_id)
    kind = NoticeKind.AUTH_LOST if why is Block.AUTH_LOST else NoticeKind.LIST_BLIND
    blocked_at = binding.blocked_at or binding.proven_at
    audit.tell(
        connection,
        binding,
        kind,
        occasion=f"{binding_id}:{blocked_at.isoformat()}",
        at=now,
        binding_id=binding_id,
        params={"account": binding.account_id, "provider": binding.provider, "role": binding.role or ""},
    )
