"""Resolves who a user of JupyterHub is: at login, at each start, when asked by the desk, and at a rename or deletion.

A person is found by the subject of the login, else by the user's number and time of creation. Names are never asked.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from jupyterhub import orm
from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.utils import isoformat, maybe_future
from sqlalchemy import event, inspect
from sqlalchemy.orm import Session, object_session
from tornado.web import HTTPError

from spawner.aio import TaskSet
from spawner.errors import FreepoolError, NameTaken, OfAnotherHub
from spawner.hub import newcomers
from spawner.hub.login import texts
from spawner.hub.login.pages import Heading, LoginRefused
from spawner.hub.other_hubs import redirect_to_hub
from spawner.hub.renames import carry_on_rename
from spawner.hub_client import PERSON_PATH
from spawner.hub_settings import MAIN_HUB
from spawner.ledger import Ledger, open_ledger
from spawner.ledger.people import groups, people
from spawner.ledger.people.rows import HubUser, Identity, Person
from spawner.refusals import REFUSAL_HEADER, encode_refusal
from spawner.settings import Settings

log = logging.getLogger("freepool.hub")
SECRET = "people"  # noqa: S105
"""Name of the secret that identities are made with. Another one makes everybody who logs in somebody new."""
PEOPLE_KEY = "freepool_people"
CHANGED = "freepool_changed_users"
LOGIN_TIME = timedelta(minutes=1)
"""JupyterHub makes the user of a login within this time, or not at all."""


def hub_user(user: Any, hub: str = MAIN_HUB) -> HubUser:
    """JupyterHub's user, or its row. `HubPeople.user` names the hub."""
    return HubUser(user.id, user.name, isoformat(user.created) or "", hub)


def subject_of(authenticator: Any, authentication: Mapping[str, Any]) -> tuple[str, str] | None:
    """Issuer and subject of a login by OAuth; None where the login has none, such as a link.

    The issuer is the ID token's, which came over TLS from the provider itself. Providers without one (GitHub) are
    known by the origin of their login page.
    """
    state = authentication.get("auth_state") or {}
    user = state.get(getattr(authenticator, "user_auth_state_key", "")) or {}
    subject = user.get("sub") or user.get("id") if isinstance(user, Mapping) else None
    if subject is None or isinstance(subject, bool) or not str(subject):
        return None
    issuer = _id_claims(state).get("iss")
    if not issuer:
        url = urlsplit(getattr(authenticator, "authorize_url", "") or "")
        issuer = f"{url.scheme}://{url.netloc}"
    return str(issuer), str(subject)


def claims_of(authenticator: Any, authentication: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the provider has said about the account: in the ID token, where there is one, and at its user's endpoint."""
    state = authentication.get("auth_state") or {}
    user = state.get(getattr(authenticator, "user_auth_state_key", ""))
    return {**_id_claims(state), **(user if isinstance(user, Mapping) else {})}


def _id_claims(state: Mapping[str, Any]) -> Mapping[str, Any]:
    return _claims(state.get("id_token") or (state.get("token_response") or {}).get("id_token"))


def _claims(token: object) -> Mapping[str, Any]:
    try:
        body = str(token).split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (IndexError, ValueError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}


def identity_of(secret: str, issuer: str, subject: str) -> Identity:
    """HMAC-SHA256(secret, issuer | subject). The subject itself is not stored."""
    message = json.dumps(["freepool person v1", issuer, subject]).encode()
    return Identity(issuer[:255], hmac.new(secret.encode(), message, "sha256").hexdigest())


@dataclass
class HubPeople:
    """The people of this hub."""

    settings: Settings
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    _logging_in: dict[str, tuple[Identity, datetime]] = field(default_factory=dict)
    """By name: identities of logins for which JupyterHub is about to make a user, and the time of the login."""
    _background: TaskSet = field(default_factory=lambda: TaskSet(_log_failure))

    @cached_property
    def ledger(self) -> Ledger:
        """Opened at the first use: JupyterHub reads its configuration before there are secrets to read."""
        return open_ledger(self.settings.ledger)

    @property
    def hub(self) -> str:
        """Name of this hub in the ledger."""
        return self.settings.hubs.name

    def user(self, user: Any) -> HubUser:
        """JupyterHub's user, or its row, as one of this hub."""
        return hub_user(user, self.hub)

    async def of(self, user: HubUser) -> Person:
        """Who the user is. Writes only what has changed. Raises `OfAnotherHub` for one who was moved."""
        try:
            return await self._of(user)
        except OfAnotherHub as error:
            raise people.of_another_hub(error.hub, self.settings.hubs.url_on(error.hub, "/") or "") from error

    async def _of(self, user: HubUser) -> Person:
        identity = self._identity_logging_in(user.name)
        if identity is not None:
            identified = await self._write(people.identify, user, identity)
            self._logging_in.pop(user.name, None)  # not before: another account could take the name meanwhile
            return identified
        person = await self.ledger.aread(people.current, user.name, user.since, self.hub)
        if person is not None and person.hub_id == user.id:
            return person
        return await self._write(people.of_user, user)

    async def _write(self, query: Callable[..., Person], *args: Any) -> Person:
        return await self.ledger.awrite(query, *args, new_id=self.new_id, now=self.now())

    async def log_in(
        self, session: Session, name: str, identity: Identity, admit: Callable[[], Awaitable[None]] | None = None
    ) -> str:
        """The name under which a subject logs in: its person's present one, where JupyterHub has a user for it.

        So a renamed user stays renamed. Raises `NameTaken` where the name is another person's, and `OfAnotherHub` where
        the person's hub is another one. `admit` is asked about somebody new, and raises where they may not come in.
        """
        person = await self.ledger.aread(people.by_identity, identity)
        if person is not None:
            people.require_hub(person, self.hub)
        if person is not None and person.hub_id is not None:
            row = session.get(orm.User, person.hub_id)
            if row is not None and self.user(row).since == person.hub_since:
                return str(row.name)
        self._refuse_second(name, identity)
        if orm.User.find(session, name) is None and person is None and admit is not None:
            await self._refuse_name_of_another_hub(name)
            await admit()
            if self.settings.hubs.drain_to is not None:
                raise people.of_another_hub(self.settings.hubs.drain_to)
            self._refuse_second(name, identity)  # nothing is awaited from here to the entry
        row = orm.User.find(session, name)
        if row is None:
            self._logging_in[name] = identity, self.now()
        else:
            await self._write(people.identify, self.user(row), identity)
        return name

    def _refuse_second(self, name: str, identity: Identity) -> None:
        """Of two new accounts of one name the first that logs in has it."""
        if self._identity_logging_in(name) not in (None, identity):
            raise people.name_taken(name)

    async def _refuse_name_of_another_hub(self, name: str) -> None:
        """A name is one person's on all hubs, so that everybody can be moved. One hub refuses it by its own tables."""
        if self.settings.hubs.has_others and await self.ledger.aread(people.is_name_elsewhere, name, self.hub):
            raise people.name_taken(name)

    def _identity_logging_in(self, name: str) -> Identity | None:
        identity, at = self._logging_in.get(name, (None, None))
        return identity if at is not None and self.now() - at < LOGIN_TIME else None

    async def record_groups(self, person: Person, user: Any, *, login: Collection[str] | None = None) -> None:
        """Write the groups of JupyterHub's `user`. `login` are those that the login names now; None: as it said last.

        Links name none: what a provider named before is JupyterHub's by now.
        """
        hub = [group.name for group in user.groups]
        if login is None and not self.settings.login.has_provider:
            login = ()
        if not await self.ledger.aread(groups.is_recorded, person.id, hub=hub, login=login):
            await self.ledger.awrite(groups.record_hub, person.id, hub=hub, login=login, now=self.now())

    async def _leave(self, user: HubUser) -> None:
        await self.ledger.awrite(people.leave, user)

    def listen(self) -> None:
        """Learn of users that JupyterHub makes, renames and deletes. What is missed is learned when the user comes."""
        for change in ("after_insert", "after_update", "before_delete"):
            event.listen(orm.User, change, _note(change, self.hub))
        event.listen(Session, "after_commit", self._follow)
        event.listen(Session, "after_rollback", lambda session: session.info.pop(CHANGED, None))

    def _follow(self, session: Session) -> None:
        for change, user in session.info.pop(CHANGED, ()):
            if change == "before_delete":
                self._start(self._leave(user))
            elif change == "after_update":
                self._start(carry_on_rename(user.id))
                self._start(self.of(user))
            elif user.name in self._logging_in:
                self._start(self.of(user))

    def _start(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            self._background.start(_ignoring_result(work))
        except RuntimeError:  # no event loop: a command of JupyterHub's, not the hub
            work.close()


async def _ignoring_result(work: Coroutine[Any, Any, object]) -> None:
    await work


def _note(change: str, hub: str) -> Callable[[Any, Any, orm.User], None]:
    def note(_mapper: Any, _connection: Any, user: orm.User) -> None:
        session = object_session(user)
        if session is None or (change == "after_update" and not inspect(user).attrs.name.history.has_changes()):
            return
        session.info.setdefault(CHANGED, []).append((change, hub_user(user, hub)))

    return note


def _log_failure(subject: str, error: BaseException) -> None:  # noqa: ARG001
    log.warning("a change of a user is not in the ledger yet; it is written when the user comes", exc_info=error)


def hub_people(hub_settings: Mapping[str, Any]) -> HubPeople:
    """The people of the hub with these Tornado settings."""
    found: HubPeople = hub_settings[PEOPLE_KEY]()
    return found


class UserMoved(HTTPError):
    """403, with the refusal in a header: the desk leads there."""

    def __init__(self, refusal: OfAnotherHub) -> None:
        super().__init__(403, "%s", refusal.message, reason="another hub")
        self.jupyterhub_message = f"{refusal.message} {refusal.next_step}"
        self.headers = {REFUSAL_HEADER: encode_refusal(refusal)}


class PersonHandler(APIHandler):
    """POST /hub/api/freepool/person: who the user of this token is. The desk asks where the ledger does not know."""

    async def post(self) -> None:
        """Send the person's id."""
        if not isinstance(getattr(self.current_user, "orm_user", None), orm.User):
            raise HTTPError(403)
        people_of_hub = hub_people(self.settings)
        try:
            person = await people_of_hub.of(people_of_hub.user(self.current_user))
        except OfAnotherHub as refusal:
            raise UserMoved(refusal) from refusal
        await people_of_hub.record_groups(person, self.current_user)
        self.write({"person": person.id})


HANDLERS = [(rf"/api/{PERSON_PATH}", PersonHandler)]


def post_auth_hook(people_of_hub: HubPeople, then: Any) -> Any:
    """JupyterHub's hook of this name. `then` is the one of the hub's own file, which comes first."""

    async def resolve(authenticator: Any, handler: Any, authentication: dict[str, Any]) -> dict[str, Any] | None:
        model: dict[str, Any] | None = authentication
        if then is not None:
            model = await maybe_future(then(authenticator, handler, authentication))
        subject = subject_of(authenticator, model) if model else None
        if model is None or subject is None:
            return model
        settings, ledger = people_of_hub.settings, people_of_hub.ledger
        secret = settings.secret(SECRET)
        identity = identity_of(secret, *subject)
        login = newcomers.Login(handler, authenticator, model, claims_of(authenticator, model), identity)
        try:
            name = await people_of_hub.log_in(
                handler.db,
                model["name"],
                identity,
                lambda: newcomers.admit(settings, ledger, login, secret, people_of_hub.now()),
            )
            await newcomers.note(ledger, login, settings)
        except NameTaken as refusal:
            name = str(model["name"])
            said = texts.name_taken(name)
            raise LoginRefused(403, texts.plain_name_taken(name), said, heading=Heading.NAME_TAKEN) from refusal
        except OfAnotherHub as refusal:
            redirect_to_hub(handler, settings, refusal)
        except FreepoolError as error:
            raise HTTPError(503, error.message) from error
        return model | {"name": name}

    return resolve


async def skip_refresh_of_renamed(authenticator: Any, user: Any, auth_state: Mapping[str, Any] | None) -> bool | None:
    """OAuthenticator's `refresh_user_hook`. JupyterHub refuses refreshed information that gives another name."""
    info = (auth_state or {}).get(authenticator.user_auth_state_key)
    if not info:
        return None
    name = await maybe_future(authenticator.user_info_to_username(info))
    return True if authenticator.normalize_username(name) != user.name else None
