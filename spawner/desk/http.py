"""What all of the desk's handlers share: who is it, in which language, and errors in words."""

from __future__ import annotations

import hmac
import json
import logging
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jinja2 import Environment
from jupyterhub.services.auth import HubOAuthenticated, UserNotAllowed
from pydantic import BaseModel
from tornado.web import RequestHandler

from spawner import __version__
from spawner.aio import TaskSet
from spawner.catalog import Catalog
from spawner.desk.changes import ChangeNotifier
from spawner.desk.i18n import Translations, choose_language
from spawner.desk.paid.views import PaidView, PaidViewBuilder, read_paid
from spawner.desk.user.snapshot import SnapshotReader, UserSnapshot
from spawner.desk.user.state import State, build_state
from spawner.desk.user_locks import UserLocks
from spawner.errors import FreepoolError, NotAllowed, Refusal
from spawner.hub_client import HubClient, HubRefused
from spawner.ledger import Ledger
from spawner.paid.paid import Paid
from spawner.pool.backends.base import Backend
from spawner.pool.build import utc_now
from spawner.pool.queue.admission import Admission
from spawner.settings import Settings

if TYPE_CHECKING:
    from spawner.desk.paid.account_proof import AccountProof
    from spawner.desk.paid.role import RoleGuide

log = logging.getLogger("freepool.desk")
LANGUAGE_COOKIE = "freepool-language"
POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
ALONE = "same-origin"
"""As Cross-Origin-Opener-Policy: a notebook that opens the page, perhaps on the same host, cannot reach into it."""


@dataclass
class Desk:
    """What all handlers share."""

    settings: Settings
    catalog: Catalog
    backend: Backend
    ledger: Ledger
    admission: Admission
    snapshots: SnapshotReader
    hub: HubClient
    changes: ChangeNotifier
    texts: dict[str, Translations]
    templates: Environment
    base: str
    paid: Paid | None = None
    linking: AccountProof | None = None
    role_guide: RoleGuide | None = None
    cloud_locks: UserLocks = field(default_factory=UserLocks)
    """At the clouds: the threads that do the asking are everybody's."""
    restart_locks: UserLocks = field(default_factory=UserLocks)
    """A stop and the start after it: the second of two must not stop what the first has begun."""
    starts: TaskSet = field(default_factory=lambda: TaskSet(_log_failed_start))


def _log_failed_start(subject: str, error: BaseException) -> None:
    log.info("%s ended: %s", subject, error)


class Handler(HubOAuthenticated, RequestHandler):
    """Base of all: who is it, in which language, and errors in words."""

    desk: Desk
    wants_json = False
    needs_user = True

    def initialize(self, desk: Desk) -> None:
        """Tornado hands the shared parts over."""
        self.desk = desk
        self.hub_auth = self.settings["hub_auth"]

    def set_default_headers(self) -> None:
        """Strict by default: nothing from elsewhere, no frame around us."""
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")

    async def prepare(self) -> None:
        """Identify the user off the event loop's critical path; cookies come with JupyterHub's XSRF check."""
        language = choose_language(self.get_cookie(LANGUAGE_COOKIE), self.request.headers.get("Accept-Language"))
        self.language_texts = self.desk.texts[language]
        if not self.needs_user:
            self.current_user = None
            return
        try:
            self.current_user = await self.identify()
        except UserNotAllowed:
            raise NotAllowed(
                "This token may not use the desk.", next_step="Give it the scope access:services!service=desk."
            ) from None
        if self.current_user is None:
            if self.wants_json or self.request.method != "GET":
                raise HubRefused(
                    403,
                    "You are not signed in.",
                    code="signed_out",
                    next_step="Sign in, or send a valid token and XSRF token.",
                )
            self.redirect(self.get_login_url())

    async def identify(self) -> Any:
        """The person who asks, as JupyterHub describes them; None for nobody, and for a service."""
        user = await self.hub_auth.get_user(self, sync=False)
        return self.check_hub_user(user) if user and user.get("kind", "user") == "user" else None

    @property
    def user_name(self) -> str:
        """Name of the signed-in user."""
        assert self.current_user is not None  # `prepare` has seen to it
        return str(self.current_user["name"])

    @property
    def user_since(self) -> str:
        """When JupyterHub made this user. A name can be given to somebody else; empty where the token cannot tell."""
        return str((self.current_user or {}).get("created") or "")

    @property
    def is_navigation(self) -> bool:
        """Whether a person goes to this page in a window of theirs: no script that fetches it, and no frame."""
        mode, destination = (self.request.headers.get(f"Sec-Fetch-{name}") for name in ("Mode", "Dest"))
        if mode is None and destination is None:
            return not self.desk.settings.is_secure
        return (mode, destination) == ("navigate", "document")

    @property
    def is_our_script(self) -> bool:
        """Whether it is a page's own script: it knows the token from the page."""
        given = self.request.headers.get("X-XSRFToken", "")
        return hmac.compare_digest(given.encode(), self.xsrf_token)

    def say(self, message: str, **params: object) -> str:
        """In the reader's language."""
        return self.language_texts.say(message, **params)

    async def state(self) -> State:
        """The desk as this user sees it now."""
        return await self.describe(await self.desk.ledger.aread(self.desk.snapshots.read, self.user_name))

    async def describe(self, snapshot: UserSnapshot) -> State:
        """A moment in the words of this user's language."""
        desk = self.desk
        return build_state(
            snapshot,
            user_name=self.user_name,
            admin=bool((self.current_user or {}).get("admin")),
            catalog=desk.catalog,
            backend=desk.backend,
            texts=self.language_texts,
            base=desk.base,
            now=utc_now(),
            paid=await self.paid_view(),
        )

    async def paid_view(self) -> PaidView | None:
        """This user's paid path, where there is one."""
        desk, now = self.desk, utc_now()
        if desk.paid is None:
            return None
        snapshot = await desk.ledger.aread(read_paid, self.user_name, self.user_since, now=now)
        return PaidViewBuilder(snapshot, desk.paid, self.language_texts, desk.base, desk.settings.is_demo, now).view()

    @property
    def here(self) -> str:
        """The address of this page, for coming back to it by a link."""
        return self.request.uri or self.desk.base if self.request.method == "GET" else self.desk.base

    def render_page(self, name: str, **context: Any) -> str:
        """Fill a template."""
        template = self.desk.templates.get_template(name)
        return template.render(
            _=self.language_texts.say,
            lang=self.language_texts.language,
            base=self.desk.base,
            static=self.static_path,
            xsrf=self.xsrf_token.decode() if self.current_user and self._may_hold_token else "",
            here=self.here,
            version=__version__,
            demo=self.desk.settings.is_demo,
            has_paid=self.desk.paid is not None,
            **context,
        )

    @property
    def _may_hold_token(self) -> bool:
        """Not what somebody else's script has fetched."""
        return self.request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate" or self.is_our_script

    def static_path(self, path: str) -> str:
        """Versioned URL of a static file."""
        return str(self.static_url(path))

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        """Refusals are news for their reader, not for the log."""
        if not isinstance(value, FreepoolError):
            super().log_exception(kind, value, trace)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say what happened and what to do next, as JSON or as a page."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        code, message, following, details = "error", HTTPStatus(status_code).phrase, "", ""
        if isinstance(error, FreepoolError):
            status_code = error.status if isinstance(error, Refusal) else 503
            code = error.code if isinstance(error, Refusal) else "unavailable"
            texts = getattr(self, "language_texts", self.desk.texts["en"])
            message = texts.say(error.template, **error.params)
            following = texts.say(error.next_template, **error.params) if error.next_template else ""
            details = error.details
            self.set_status(status_code)
        elif status_code in (502, 503, 504) or (status_code == 500 and "Hub" in str(error)):
            message, following = (
                "The hub does not answer just now. What runs goes on running.",
                "Try again in a few seconds.",
            )
            self.set_status(503)
        if self.wants_json:
            self.set_header("Content-Type", "application/json")
            self.finish(
                json.dumps({"error": {"code": code, "message": message, "next": following, "details": details}})
            )
            return
        texts = getattr(self, "language_texts", self.desk.texts["en"])
        self.language_texts, self.current_user = texts, None
        title = texts.say("There is nothing here") if status_code == 404 else texts.say("That did not work")
        said = " ".join(part for part in (texts.say(message), texts.say(following) if following else "") if part)
        if status_code == 404:
            said = texts.say("Check the address, or go on from the desk.")
        self.finish(
            self.render_page(
                "message.html",
                title=title,
                text=said,
                action_url=self.desk.base,
                action_label=texts.say("Go to the desk"),
            )
        )


class JsonHandler(Handler):
    """Base of the API."""

    wants_json = True

    def answer(self, state: BaseModel, status: int = 200) -> None:
        """Write a state."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(state.model_dump_json())
