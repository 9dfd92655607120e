"""Linking a cloud account, step by step, and unlinking it: nothing here makes anything in any cloud."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from spawner.desk.paid.context import SIGN_IN_LIFETIME
from spawner.desk.paid.http import PaidHandler, PaidPage
from spawner.desk.paid.views import PaidViewBuilder, read_paid
from spawner.errors import LostRace, NotOffered
from spawner.ledger.paid import bindings, orders
from spawner.ledger.paid.rows import Binding, BindingState, Block, Order, OrderState
from spawner.paid.accounts.binding import (
    EXTERNAL_ID_BYTES,
    account_of,
    external_id,
    in_the_way_of_unlinking,
    problems_of,
)
from spawner.paid.accounts.unlinking import unlink_or_stop
from spawner.paid.providers.assume_role_checks import NO_WORKSPACE
from spawner.paid.providers.base import Capability, Probe, ProviderError

COOKIE = "freepool-paid-link"
ROLE_NAME = re.compile(r"[A-Za-z0-9.@_-]{1,64}")
NOT_A_ROLE = "That is no name of a role."
CHOOSE_ROOM = "Choose the workspace in which instances are made, then check again."
CANNOT_LINK = "This cloud cannot be linked here."
SWITCHED_OFF = (
    "This cloud is switched off here just now. What you had in it is still shown, and you can unlink the account."
)
IN_REGION = "{region}: {text}"


class LinkHandler(PaidPage):
    """POST /paid/link: off to the cloud, to sign in there."""

    async def post(self) -> None:
        """A page that goes on by itself: browsers follow no form to another site (`form-action`)."""
        wanted = self.get_body_argument("provider", "")
        provider = self.paid.providers.get(wanted)
        if self.parts.proof is None or provider is None or Capability.PROOF not in provider.capabilities:
            raise NotOffered(CANNOT_LINK)
        url, kept = self.parts.proof.begin(self.user_name, wanted)
        self.set_cookie(
            COOKIE,
            kept,
            path=f"{self.desk.base}paid/linked",
            httponly=True,
            samesite="Lax",
            secure=self.desk.settings.public_url.startswith("https://"),
            max_age=int(SIGN_IN_LIFETIME.total_seconds()),
        )
        self.set_header("Refresh", f"0; url={url}")
        self.tell(
            self.say("To your cloud"),
            self.say("Sign in there. It tells us which account is yours, and lets us do nothing with it."),
            url=url,
            label=self.say("Go on"),
        )


class LinkedHandler(PaidPage):
    """GET /paid/linked: back from the cloud."""

    async def get(self) -> None:
        """Keep whose account it is, and go on with the role. Each visit ends once."""
        if self.parts.proof is None:
            raise NotOffered(CANNOT_LINK)
        kept = self.get_cookie(COOKIE, "") or ""
        self.clear_cookie(COOKIE, path=f"{self.desk.base}paid/linked")
        visit, code = self.parts.proof.end(self.request.full_url(), kept, self.user_name)
        proof = await self.parts.proof.prove(visit, code)
        binding = Binding(
            id=visit.nonce,  # so that the same visit can never make a second one
            user_name=self.user_name,
            user_since=self.user_since,
            provider=visit.provider,
            account_id=proof.account_id,
            subject=proof.subject,
            external_id=external_id(os.urandom(EXTERNAL_ID_BYTES)),
            role=None,
            workspaces={},
            state=BindingState.PROVEN,
            blocked=None,
            blocked_at=None,
            proven_at=self.paid.now(),
            probed_at=None,
            unlinked_at=None,
        )
        try:
            await self.desk.ledger.awrite(bindings.prove, binding)
        except LostRace:
            mine = await self.read(bindings.of_user, self.user_name)
            known = (self.user_since, visit.provider, proof.account_id)
            same = (one.id for one in mine if (one.user_since, one.provider, one.account_id) == known)
            self.go(f"paid/accounts/{next(same, '')}".rstrip("/"))
            return
        self.go(f"paid/accounts/{binding.id}")


@dataclass(frozen=True)
class Checked:
    """What a look at the role has shown, in words. `rooms`: by region, where there are several workspaces."""

    problems: Sequence[str] = ()
    remarks: Sequence[str] = ()
    rooms: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    chosen: Mapping[str, str] = field(default_factory=dict)
    found_good: bool = False


class AccountHandler(PaidPage):
    """GET and POST /paid/accounts/ID: the role to make, and the check."""

    async def get(self, binding_id: str) -> None:
        """What to do next."""
        binding = await self.my_binding(binding_id)
        if self._is_offered(binding):
            self._show(binding, Checked())

    def _is_offered(self, binding: Binding) -> bool:
        """Else they are told, and can still unlink."""
        is_on = self.is_on(binding.provider) and self.parts.role_guide is not None
        if not is_on:
            self.tell(
                self.title(binding.provider),
                self.say(SWITCHED_OFF),
                url=f"{self.desk.base}paid/accounts/{binding.id}/unlink",
                label=self.say("Unlink…"),
            )
        return is_on

    async def post(self, binding_id: str) -> None:
        """Look at the role. ACTIVE where nothing speaks against it."""
        binding = await self.my_binding(binding_id)
        if not self._is_offered(binding):
            return
        guide = self.parts.role_guide
        name = self.get_body_argument("role", "").strip()
        if guide is None or not ROLE_NAME.fullmatch(name):
            self._show(binding, Checked(problems=(self.say(NOT_A_ROLE),)), role=name, status=400)
            return
        role = guide.arn(binding, name)
        tried = replace(binding, role=role)
        try:
            async with self.parts.cloud_locks.hold(self.user_name):
                checked, workspaces = await self._check(tried)
        except ProviderError as error:
            self._show(binding, Checked(problems=(self.words_of(error),)), role=name, status=503)
            return
        if not checked.problems:
            await self.desk.ledger.awrite(
                bindings.activate, binding.id, role=role, workspaces=workspaces, now=self.paid.now()
            )
            checked = replace(checked, found_good=True)
        elif role == binding.role:
            with contextlib.suppress(LostRace):  # it is blocked already, or was never used
                await self.desk.ledger.awrite(bindings.block, binding.id, Block.CHECK, now=self.paid.now())
        self._show(await self.my_binding(binding_id), checked, role=name)

    async def _check(self, binding: Binding) -> tuple[Checked, dict[str, str]]:
        """Look in every region. One in which the account has no workspace is left out, if there is another."""
        provider = self.paid.providers[binding.provider]
        regions = self.paid.regions[binding.provider]
        probes = {region: await provider.probe(account_of(binding, region)) for region in regions}
        empty = [region for region, probe in probes.items() if [t for t, _ in probe.problems] == [NO_WORKSPACE]]
        used = {region: probe for region, probe in probes.items() if region not in empty or len(empty) == len(probes)}
        problems = _once(self.sentences(p for probe in used.values() for p in problems_of(binding, probe)))
        remarks = _once(self.sentences(remark for probe in used.values() for remark in probe.remarks))
        remarks += [
            self.say(IN_REGION, region=region, text=self.say(NO_WORKSPACE)) for region in empty if region not in used
        ]
        rooms = {region: probe.workspaces for region, probe in used.items() if len(probe.workspaces) > 1}
        chosen = {region: self._room(region, probe) for region, probe in used.items() if probe.workspaces}
        if not problems and not all(chosen.values()):
            problems = [self.say(CHOOSE_ROOM)]
        workspaces = {region: room for region, room in chosen.items() if room}
        return Checked(problems, remarks, rooms, workspaces), workspaces

    def _room(self, region: str, probe: Probe) -> str:
        known = [room for room, _ in probe.workspaces]
        chosen = self.get_body_argument(f"workspace-{region}", "")
        return chosen if chosen in known else known[0] if len(known) == 1 else ""

    def _show(self, binding: Binding, checked: Checked, *, role: str = "", status: int = 200) -> None:
        guide = self.parts.role_guide
        assert guide is not None
        known = (binding.role or "").rpartition("/")[2]
        self.show(
            "paid/account.html",
            status=status,
            binding=binding,
            provider=self.title(binding.provider),
            checked=checked,
            role=role or known or guide.name(binding),
            link=guide.link(binding),
            trust=guide.trust(binding),
            permissions=guide.permissions(),
            is_active=binding.state is BindingState.ACTIVE,
        )


def _once(sentences: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(sentences))


class TemplateHandler(PaidHandler):
    """GET /paid/role-template.json: what the cloud's orchestration service makes the role from. JSON is YAML, too."""

    needs_user = False
    wants_json = True

    def get(self) -> None:
        """The same for everybody: nothing in it is anybody's."""
        if self.parts.role_guide is None:
            raise NotOffered(CANNOT_LINK)
        self.set_header("Content-Type", "application/json")
        self.set_header("Access-Control-Allow-Origin", "*")
        self.finish(json.dumps(self.parts.role_guide.template(), indent=2))


class UnlinkHandler(PaidPage):
    """GET and POST /paid/accounts/ID/unlink: asks, stops what runs, and forgets only when nothing does any more."""

    is_live = True

    async def get(self, binding_id: str) -> None:
        """What would happen."""
        binding = await self.my_binding(binding_id)
        self._ask(binding, await self.read(orders.of_binding, binding.id))

    async def post(self, binding_id: str) -> None:
        """Stop what runs; unlink where nothing does."""
        binding = await self.my_binding(binding_id)
        now = self.paid.now()
        if await self.desk.ledger.awrite(
            unlink_or_stop, binding.id, by=self.user_name, now=now, reaches=self.paid.reaches
        ):
            self.tell(
                self.say("The account is unlinked"),
                self.say(
                    "Freepool does nothing in it any more. You may delete the role {role} there, too.",
                    role=_role(binding),
                ),
            )
        else:
            self.go(f"paid/accounts/{binding.id}/unlink")

    def _ask(self, binding: Binding, mine: Sequence[Order]) -> None:
        self.show(
            "paid/unlink.html",
            binding=binding,
            provider=self.title(binding.provider),
            running=in_the_way_of_unlinking(mine, self.paid.now(), reaches=self.paid.reaches),
            stopped=[one for one in mine if one.state is OrderState.STOPPED],
            lost=[one for one in mine if one.state is not OrderState.GONE and self._is_lost(one)],
            console=self.console(binding.provider, binding.account_id),
            live=True,
        )

    def _is_lost(self, order: Order) -> bool:
        return order.blocked is not None or not self.paid.reaches(order.provider, order.region)


def _role(binding: Binding) -> str:
    return (binding.role or "").rpartition("/")[2] or "?"


class HomeHandler(PaidPage):
    """GET /paid: accounts, what runs, what ran, and what there is to know."""

    is_live = True

    async def get(self) -> None:
        """The page."""
        now = self.paid.now()
        snapshot = await self.read(read_paid, self.user_name, self.user_since, now=now)
        desk = self.desk
        view = PaidViewBuilder(snapshot, self.paid, self.language_texts, desk.base, desk.settings.is_demo, now).view()
        linkable = [
            (one.id, self.say(one.title))
            for one in self.paid.providers.values()
            if Capability.PROOF in one.capabilities
        ]
        self.show("paid/home.html", paid=view, linkable=linkable if self.parts.proof else [], live=True)
