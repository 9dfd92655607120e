"""Pages that link and unlink a cloud account. Nothing is created or changed in the cloud."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace

from spawner.desk.paid.context import SIGN_IN_LIFETIME
from spawner.desk.paid.forms import LinkForm, RoleForm
from spawner.desk.paid.http import PaidHandler, PaidPage
from spawner.desk.paid.role_check import RoleCheck, check_role
from spawner.desk.paid.state import read_paid_view
from spawner.desk.requests import form_fields
from spawner.errors import LostRace, NotOffered
from spawner.ledger.paid import bindings, orders
from spawner.ledger.paid.rows import Binding, BindingState, Block, Order, OrderState
from spawner.paid.accounts.binding import (
    EXTERNAL_ID_BYTES,
    account_of,
    external_id,
    in_the_way_of_unlinking,
)
from spawner.paid.accounts.unlinking import unlink_or_stop
from spawner.paid.providers.base import Capability, Probe, ProviderError

COOKIE = "freepool-paid-link"
NOT_A_ROLE = "Invalid role name."
CANNOT_LINK = "This cloud cannot be linked here."
SWITCHED_OFF = (
    "This cloud is currently turned off here. Your past notebooks are still shown, and you can unlink the account."
)


class LinkHandler(PaidPage):
    """POST /paid/link: starts the sign-in at the cloud"""

    async def post(self) -> None:
        """A page that redirects to the cloud. A plain redirect would be blocked by the policy `form-action`."""
        form = LinkForm.model_validate(form_fields(self))
        provider = self.paid.providers.get(form.provider)
        if self.parts.proof is None or provider is None or Capability.PROOF not in provider.capabilities:
            raise NotOffered(CANNOT_LINK)
        url, cookie = self.parts.proof.begin(self.person_id, form.provider)
        self.set_cookie(
            COOKIE,
            cookie,
            path=f"{self.desk.base}paid/linked",
            httponly=True,
            samesite="Lax",
            secure=self.desk.settings.public_url.startswith("https://"),
            max_age=int(SIGN_IN_LIFETIME.total_seconds()),
        )
        self.set_header("Refresh", f"0; url={url}")
        self.tell(
            self.say("Continue to your cloud"),
            self.say(
                "Sign in to your cloud account. This only confirms which account is yours; it gives us no permissions."
            ),
            url=url,
            label=self.say("Continue"),
        )


class LinkedHandler(PaidPage):
    """GET /paid/linked: the cloud redirects here after the sign-in"""

    async def get(self) -> None:
        """Store a binding to the account, and redirect to its page. A sign-in is used once."""
        if self.parts.proof is None:
            raise NotOffered(CANNOT_LINK)
        cookie = self.get_cookie(COOKIE, "") or ""
        self.clear_cookie(COOKIE, path=f"{self.desk.base}paid/linked")
        sign_in, code = self.parts.proof.end(self.request.full_url(), cookie, self.person_id)
        proof = await self.parts.proof.prove(sign_in, code)
        binding = Binding(
            id=sign_in.nonce,  # so one sign-in makes one binding
            person_id=self.person_id,
            user_name=self.user_name,
            user_since=self.user_since,
            provider=sign_in.provider,
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
            account = (sign_in.provider, proof.account_id)
            known = {
                (other.provider, other.account_id): other.id
                for other in await self.read(bindings.of_person, self.person_id)
            }
            self.go(f"paid/accounts/{known.get(account, '')}".rstrip("/"))
            return
        self.go(f"paid/accounts/{binding.id}")


class AccountHandler(PaidPage):
    """GET and POST /paid/accounts/ID: the role to create, and its check"""

    serves_banned = True

    async def get(self, binding_id: str) -> None:
        """Show how to create the role."""
        binding = await self.own_binding(binding_id)
        if self._is_offered(binding):
            self._show(binding, RoleCheck())

    def _is_offered(self, binding: Binding) -> bool:
        """Whether the cloud is in the settings. If not, send a page that says so and links to the unlinking."""
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
        """Check the role. The binding becomes ACTIVE where there is no problem."""
        binding = await self.own_binding(binding_id)
        if not self._is_offered(binding):
            return
        guide, fields = self.parts.role_guide, form_fields(self)
        form = RoleForm.parse(fields)
        if guide is None or form is None:
            self._show(binding, RoleCheck(problems=(self.say(NOT_A_ROLE),)), role=fields.get("role", ""), status=400)
            return
        role = guide.arn(binding, form.role)
        try:
            async with self.parts.cloud_locks.hold(self.person_id):
                probes = await self._probe(replace(binding, role=role))
        except ProviderError as error:
            self._show(binding, RoleCheck(problems=(self.text_of(error),)), role=form.role, status=503)
            return
        check = check_role(replace(binding, role=role), probes, form.workspaces, self.language_texts)
        if check.found_good:
            await self.desk.ledger.awrite(
                bindings.activate, binding.id, role=role, workspaces=dict(check.chosen), now=self.paid.now()
            )
        elif role == binding.role:
            with contextlib.suppress(LostRace):  # it is blocked already, or was never active
                await self.desk.ledger.awrite(bindings.block, binding.id, Block.CHECK, now=self.paid.now())
        self._show(await self.own_binding(binding_id), check, role=form.role)

    async def _probe(self, binding: Binding) -> dict[str, Probe]:
        """What the role may do, by region. Raises `ProviderError`."""
        provider = self.paid.providers[binding.provider]
        regions = self.paid.regions[binding.provider]
        return {region: await provider.probe(account_of(binding, region)) for region in regions}

    def _show(self, binding: Binding, checked: RoleCheck, *, role: str = "", status: int = 200) -> None:
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


class TemplateHandler(PaidHandler):
    """GET /paid/role-template.json: from it the cloud's orchestration service creates the role. JSON is YAML, too."""

    needs_user = False
    wants_json = True

    def get(self) -> None:
        """It is the same for all users and holds nothing secret."""
        if self.parts.role_guide is None:
            raise NotOffered(CANNOT_LINK)
        self.set_header("Content-Type", "application/json")
        self.set_header("Access-Control-Allow-Origin", "*")
        self.finish(json.dumps(self.parts.role_guide.template(), indent=2))


class UnlinkHandler(PaidPage):
    """GET and POST /paid/accounts/ID/unlink"""

    serves_banned = True
    is_live = True

    async def get(self, binding_id: str) -> None:
        """Show what unlinking would stop and leave behind."""
        binding = await self.own_binding(binding_id)
        self._ask(binding, await self.read(orders.of_binding, binding.id))

    async def post(self, binding_id: str) -> None:
        """Unlink the account. Where instances of it run, only stop them; the user then has to send it again."""
        binding = await self.own_binding(binding_id)
        now = self.paid.now()
        if await self.desk.ledger.awrite(
            unlink_or_stop, binding.id, by=self.user_name, now=now, reaches=self.paid.reaches
        ):
            self.tell(
                self.say("Account unlinked"),
                self.say(
                    (
                        "Freepool no longer uses this account. You can also delete the role {role} in your cloud "
                        "account."
                    ),
                    role=_role(binding),
                ),
            )
        else:
            self.go(f"paid/accounts/{binding.id}/unlink")

    def _ask(self, binding: Binding, own: Sequence[Order]) -> None:
        self.show(
            "paid/unlink.html",
            binding=binding,
            provider=self.title(binding.provider),
            running=in_the_way_of_unlinking(own, self.paid.now(), reaches=self.paid.reaches),
            stopped=[order for order in own if order.state is OrderState.STOPPED],
            lost=[order for order in own if order.state is not OrderState.GONE and self._is_lost(order)],
            console=self.console(binding.provider, binding.account_id),
            live=True,
        )

    def _is_lost(self, order: Order) -> bool:
        """Whether Freepool has no access to the instance."""
        return order.blocked is not None or not self.paid.reaches(order.provider, order.region)


def _role(binding: Binding) -> str:
    return (binding.role or "").rpartition("/")[2] or "?"


class HomeHandler(PaidPage):
    """GET /paid: accounts, instances and notices"""

    serves_banned = True
    is_live = True

    async def get(self) -> None:
        """The page."""
        view = await read_paid_view(self.desk, self.paid, self.person_id, self.language_texts)
        linkable = [
            (provider.id, self.say(provider.title))
            for provider in self.paid.providers.values()
            if Capability.PROOF in provider.capabilities
        ]
        self.show("paid/home.html", paid=view, linkable=linkable if self.parts.proof else [], live=True)
