"""The save page of an instance, and the pushes that its forms and the lab's panel ask for.

Secrets are in the request, in this process's memory, and in the environment of git while it runs. They are not logged
and not shown again.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from tornado.web import HTTPError, authenticated

from spawner.instance.archive import may
from spawner.instance.save.bucket import upload
from spawner.instance.save.changes import MANIFEST, SCAN_SECONDS, Manifest, find_changes
from spawner.instance.save.git import DEFAULT_USER, GitTarget, PushFailed, push
from spawner.instance.save.page import POLICY, Page, Result, size_text
from spawner.instance.save.paths import SAVE, SAVE_BUCKET, SAVE_GIT
from spawner.instance.save.rooms import save_documents
from spawner.instance.save.s3 import Bucket, StoreRefused
from spawner.instance.save.signing import Keys
from spawner.instance.save.texts import texts_for

SECRET_FIELDS = frozenset({"token", "key_id", "secret", "session_token", "_xsrf"})
LONGEST_FIELD = 4096
BUSY = "freepool_saving"
"""Set in the server's Tornado settings while a push runs: one at a time."""
INSECURE = "freepool_save_insecure"
"""Plain http is allowed: only tests on loopback set it."""


def home_address(environment: Mapping[str, str]) -> str:
    """The desk's address for browsers. Where users have hosts of their own, it is on the hub's."""
    base = environment.get("JUPYTERHUB_BASE_URL", "/")
    return f"{environment.get('JUPYTERHUB_HOST', '')}{base}services/desk/"


class SaveHandler(JupyterHandler):
    """GET freepool/save"""

    _track_activity = False

    @authenticated
    async def get(self) -> None:
        """The page."""
        if not await may(self, "read"):
            raise HTTPError(403)
        await self.show()

    async def show(self, result: Result | None = None, given: Mapping[str, str] | None = None) -> None:
        """Send the page, with how the last save has ended."""
        language, texts = self._texts()
        found = await asyncio.to_thread(find_changes, self._root, self._manifest, seconds=SCAN_SECONDS)
        text = texts["some" if found.is_complete else "incomplete"] if found.files else texts["none"]
        page = Page(
            language=language,
            texts=texts,
            base=f"{self.base_url.rstrip('/')}/freepool/",
            home=home_address(os.environ),
            lab=f"{self.base_url.rstrip('/')}/lab",
            xsrf=self.xsrf_token.decode(),
            summary=text.format(count=len(found.files), size=size_text(found.bytes)),
            branch=f"freepool-{datetime.now(UTC):%Y%m%d-%H%M}",
            result=result,
            given=given,
        )
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("Cache-Control", "no-store")
        self.finish(page.html())

    def _texts(self) -> tuple[str, Mapping[str, str]]:
        return texts_for(self.get_query_argument("language", ""), self.request.headers.get("Accept-Language", ""))

    @property
    def _root(self) -> Path:
        return Path(self.settings["server_root_dir"])

    @property
    def _manifest(self) -> Manifest:
        found: Manifest = self.settings.get(MANIFEST, {})
        return found


class _PushHandler(SaveHandler):
    """Base of the two pushes. The body is a form, which gets the page, or JSON, which gets JSON."""

    @authenticated
    async def post(self) -> None:
        """Push, one at a time."""
        if not await may(self, "write"):
            raise HTTPError(403)
        fields = self._fields()
        _, texts = self._texts()
        if self.settings.get(BUSY):
            return await self._end(Result(is_saved=False, text=texts["busy"]), "busy", fields)
        self.settings[BUSY] = True
        try:
            await save_documents(self.settings)
            text = await self.push(fields, texts)
        except (PushFailed, StoreRefused) as error:
            text = texts.get(error.code) or (
                texts["failed"] if isinstance(error, PushFailed) else texts["refused"].format(code=error.code)
            )
            return await self._end(Result(is_saved=False, text=text, details=error.details), error.code, fields)
        finally:
            self.settings[BUSY] = False
        await self._end(Result(is_saved=True, text=text), "", fields)

    async def get(self) -> None:
        """After a reload or a sign-in there is nothing to send."""
        self.redirect(f"{self.base_url.rstrip('/')}/{SAVE}")

    async def push(self, fields: Mapping[str, str], texts: Mapping[str, str]) -> str:
        """Do it, and say what was done. Raises `PushFailed` and `StoreRefused`."""
        raise NotImplementedError

    async def _end(self, result: Result, code: str, fields: Mapping[str, str]) -> None:
        self.set_status(200 if result.is_saved else 409)
        if not self._is_json:
            shown = {name: value for name, value in fields.items() if name not in SECRET_FIELDS}
            return await self.show(result, shown)
        self.set_header("Content-Type", "application/json")
        body = {"saved": result.is_saved, "code": code, "text": result.text, "details": result.details}
        self.finish(json.dumps(body))

    @property
    def _is_json(self) -> bool:
        return self.request.headers.get("Content-Type", "").startswith("application/json")

    def _fields(self) -> dict[str, str]:
        try:
            body: Any = json.loads(self.request.body) if self._is_json else None
        except ValueError as error:
            raise HTTPError(400, "The body is no JSON.") from error
        if body is None:
            body = {name: self.get_body_argument(name) for name in self.request.body_arguments}
        if not isinstance(body, dict) or not all(
            isinstance(value, str) and len(value) <= LONGEST_FIELD for value in body.values()
        ):
            raise HTTPError(400, "The fields must be texts.")
        return {name: value.strip() for name, value in body.items()}

    async def paths(self, what: str) -> list[str]:
        """The files that are saved: those that have changed, or all."""
        manifest: Manifest = {} if what == "all" else self._manifest
        return [file.path for file in (await asyncio.to_thread(find_changes, self._root, manifest)).files]


class GitHandler(_PushHandler):
    """POST freepool/save/git: `url`, `branch`, `token`, `user`, `message`, `what` (changed or all)"""

    async def push(self, fields: Mapping[str, str], texts: Mapping[str, str]) -> str:
        """To a Git repository."""
        schemes = ("https", "http") if self.settings.get(INSECURE) else ("https",)
        target = GitTarget(
            url=fields.get("url", ""),
            branch=fields.get("branch", ""),
            token=fields.get("token", ""),
            user=fields.get("user") or DEFAULT_USER,
            message=fields.get("message") or GitTarget.message,
            schemes=schemes,
        )
        done = await push(
            self._root, await self.paths(fields.get("what", "")), target, author=str(self.current_user.username)
        )
        return texts["pushed"].format(files=done.files, commit=done.commit[:10], branch=target.branch)


class BucketHandler(_PushHandler):
    """POST freepool/save/bucket: `endpoint`, `name`, `region`, `prefix`, `key_id`, `secret`, `session_token`,
    `path_style` (yes or nothing), `what`"""

    async def push(self, fields: Mapping[str, str], texts: Mapping[str, str]) -> str:
        """To a bucket."""
        bucket = Bucket(
            endpoint=fields.get("endpoint", ""),
            bucket=fields.get("name", ""),
            region=fields.get("region", ""),
            keys=Keys(fields.get("key_id", ""), fields.get("secret", ""), fields.get("session_token", "")),
            path_style=bool(fields.get("path_style")),
            insecure=bool(self.settings.get(INSECURE)),
        )
        paths = await self.paths(fields.get("what", ""))
        if not paths:
            raise StoreRefused("nothing")
        done = await upload(self._root, paths, bucket, fields.get("prefix", ""))
        said = texts["uploaded"].format(files=done.files, size=size_text(done.bytes))
        return f"{said} {texts['vanished'].format(count=done.vanished)}" if done.vanished else said


PUSH_ROUTES: Mapping[str, type[JupyterHandler]] = {SAVE: SaveHandler, SAVE_GIT: GitHandler, SAVE_BUCKET: BucketHandler}
