"""What would be lost with the running notebook, and what was kept of earlier ones."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator

from pydantic import ValidationError
from sqlalchemy import Connection
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError

from spawner.bundles.cipher import BundleDamaged, decrypt
from spawner.bundles.store import BUCKET, FolderStore, Store, StoreRefused, bundles_folder, open_store
from spawner.desk.durations import LOCALES
from spawner.desk.formats import Formats
from spawner.desk.http import JsonHandler
from spawner.desk.requests import EmptyRequest, form_fields, parse
from spawner.desk.user.http import UserHandler
from spawner.desk.user.instance_client import InstanceRefused, files_url, read_changes, unpack
from spawner.desk.user.save_texts import DAMAGED, NOT_OFFERED, TRY_AGAIN, bundle_text, file_size
from spawner.desk.user.save_views import BundleView, ChangesView, KeepChoiceRequest, KeepView, RestoredView
from spawner.errors import BackendUnavailable, BadOption, Conflict, FreepoolError, NotOffered, NotRunning
from spawner.ledger import Instance, InstanceState
from spawner.ledger.bundles import bundles, choices
from spawner.ledger.bundles.rows import Bundle, BundleState
from spawner.ledger.pool import instances
from spawner.pool.build import utc_now
from spawner.pool.keeping import has_agent

log = logging.getLogger("freepool.desk")


class ChangesHandler(UserHandler, JsonHandler):
    """GET /api/instance/changes"""

    async def get(self) -> None:
        """Ask the running notebook. Answers within about two seconds."""
        instance = await running_of(self)
        is_asked = has_agent(self.desk.catalog, instance.image)
        url = files_url(instance.user_name) if is_asked else None
        view = ChangesView(known=False, count=0, bytes=0, is_complete=False, files=[], files_url=url)
        if is_asked:
            with contextlib.suppress(InstanceRefused, ValidationError):
                found = await read_changes(instance, self.desk.settings.secret("desk"))
                view = ChangesView.model_validate({**found, "known": True, "files_url": url})
        self.answer(view)


class KeepHandler(UserHandler):
    """Base of the handlers of kept files."""

    async def prepare(self) -> None:
        """Raises `NotOffered` where the catalog keeps nothing, and nothing of the person's is left."""
        await super().prepare()
        if self._finished or self.current_user is None or self.desk.catalog.keep.enabled:
            return
        if not await self.desk.ledger.aread(bundles.of_person, self.person_id):
            raise NotOffered(NOT_OFFERED, next_step="Download the files you want to keep before your notebook stops.")

    async def view(self) -> KeepView:
        """The choice, and what is kept."""
        keep = self.desk.catalog.keep
        chosen, own, latest = await self.desk.ledger.aread(_read_keep, self.person_id)
        return KeepView(
            enabled=keep.enabled,
            chosen=chosen,
            limit_bytes=int(keep.limit),
            days=keep.days,
            can_restore=latest is not None and latest.state is InstanceState.RUNNING,
            bundles=[self._bundle(one) for one in own if one.expires_at > utc_now()],
        )

    def _bundle(self, bundle: Bundle) -> BundleView:
        is_kept = bundle.state is BundleState.KEPT
        return BundleView(
            id=bundle.id,
            state=bundle.state.value,
            made_at=bundle.made_at,
            expires_at=bundle.expires_at,
            files=bundle.files,
            bytes=bundle.bytes,
            fetched_at=bundle.fetched_at,
            text=bundle_text(bundle, self.language_texts),
            url=f"{self.desk.base}keep/{bundle.id}.zip" if is_kept else None,
        )

    async def choose(self, *, wanted: bool) -> None:
        """Write the choice. It counts from the next end on."""
        if wanted and not self.desk.catalog.keep.enabled:
            raise NotOffered(NOT_OFFERED)
        await self.desk.ledger.awrite(choices.choose, self.person_id, wanted=wanted, now=utc_now())

    async def kept(self, bundle_id: str) -> Bundle:
        """A bundle of this person's that can be fetched; 404 for any other."""
        bundle = await self.desk.ledger.aread(bundles.get, bundle_id, person_id=self.person_id)
        if bundle is None or bundle.state is not BundleState.KEPT or bundle.expires_at <= utc_now():
            raise HTTPError(404)
        return bundle

    async def first_pieces(self, bundle: Bundle) -> tuple[bytes, Iterator[bytes]]:
        """The first bytes, and the rest. Raises `BackendUnavailable` where they cannot be read."""
        plain = decrypt(self._store_of(bundle).get(bundle.id), bytes.fromhex(bundle.key))
        try:
            return await asyncio.to_thread(next, plain, b""), plain
        except (OSError, StoreRefused, BundleDamaged) as error:
            raise BackendUnavailable(DAMAGED, next_step=TRY_AGAIN, details=str(error)) from error

    def _store_of(self, bundle: Bundle) -> Store:
        """Where it was stored, though the settings may name another place since."""
        if bundle.store != BUCKET:
            return FolderStore(bundles_folder(self.desk.settings))
        try:
            return open_store(self.desk.settings)
        except (FreepoolError, StoreRefused) as error:
            raise BackendUnavailable(DAMAGED, next_step=TRY_AGAIN, details=str(error)) from error

    async def restore(self, bundle_id: str) -> RestoredView:
        """Put the files into the running notebook. Raises `NotRunning`, `Conflict`, `BackendUnavailable`."""
        bundle = await self.kept(bundle_id)
        instance = await running_of(self)
        first, rest = await self.first_pieces(bundle)
        try:
            done = await unpack(instance, self.desk.settings.secret("desk"), _pieces(first, rest))
            view = RestoredView.model_validate(done)
        except (OSError, StoreRefused, BundleDamaged) as error:
            raise BackendUnavailable(DAMAGED, next_step=TRY_AGAIN, details=str(error)) from error
        except (InstanceRefused, ValidationError) as error:
            raise self._refusal(error) from error
        await self.desk.ledger.awrite(bundles.mark_fetched, bundle.id, utc_now())
        return view

    @staticmethod
    def _refusal(error: Exception) -> Conflict:
        status = error.status if isinstance(error, InstanceRefused) else 0
        if status == 507:
            return Conflict("The notebook's disk is full.", next_step="Delete files in it, or download the kept files.")
        return Conflict("Your notebook did not accept the files.", next_step="Download them, and upload them there.")

    async def remove(self, bundle_id: str) -> None:
        """Delete the row and with it the key. The steward deletes the bytes, within a minute."""
        bundle = await self.desk.ledger.aread(bundles.get, bundle_id, person_id=self.person_id)
        if bundle is None or not await self.desk.ledger.awrite(bundles.remove, bundle_id, person_id=self.person_id):
            raise HTTPError(404)


class KeepApiHandler(KeepHandler, JsonHandler):
    """GET and POST /api/keep"""

    async def get(self) -> None:
        """The choice, and what is kept."""
        self.answer(await self.view())

    async def post(self) -> None:
        """Choose."""
        await self.choose(wanted=parse(KeepChoiceRequest, self.request.body).wanted)
        self.answer(await self.view())


class KeepRestoreHandler(KeepHandler, JsonHandler):
    """POST /api/keep/ID/restore"""

    async def post(self, bundle_id: str) -> None:
        """Put the files into the running notebook."""
        parse(EmptyRequest, self.request.body)
        self.answer(await self.restore(bundle_id))


class KeepDeleteHandler(KeepHandler, JsonHandler):
    """POST /api/keep/ID/delete"""

    async def post(self, bundle_id: str) -> None:
        """Delete kept files now."""
        parse(EmptyRequest, self.request.body)
        await self.remove(bundle_id)
        self.answer(await self.view())


class KeepFileHandler(KeepHandler):
    """GET /keep/ID.zip"""

    async def get(self, bundle_id: str) -> None:
        """The files as a zip. A bundle that turns out damaged ends the connection: no browser takes it for whole."""
        bundle = await self.kept(bundle_id)
        piece, rest = await self.first_pieces(bundle)
        self.set_header("Content-Type", "application/zip")
        name = f"freepool-files-{bundle.made_at:%Y%m%d-%H%M}.zip"
        self.set_header("Content-Disposition", f'attachment; filename="{name}"')
        try:
            while piece:
                self.write(piece)
                await self.flush()
                piece = await asyncio.to_thread(next, rest, b"")
        except StreamClosedError:
            return
        except (OSError, StoreRefused, BundleDamaged) as error:
            log.error("the download of bundle %s breaks off: %s", bundle.id, error)
            self.detach().close()
            self._finished = True
            return
        await self.desk.ledger.awrite(bundles.mark_fetched, bundle.id, utc_now())


class KeepPage(KeepHandler):
    """GET and POST /keep: the page, which works without a script"""

    async def get(self) -> None:
        """The page."""
        await self.show()

    async def post(self) -> None:
        """One of its forms: `action` is choose, restore or delete."""
        fields = form_fields(self)
        bundle_id, action = fields.get("bundle", ""), fields.get("action", "")
        try:
            if action == "restore":
                return await self.show(restored=await self.restore(bundle_id))
            if action == "delete":
                await self.remove(bundle_id)
            elif action == "choose":
                await self.choose(wanted=fields.get("wanted") == "yes")
            else:
                raise BadOption("The request is not valid.", next_step="Reload the page, then try again.")
        except FreepoolError as error:
            return await self.show(problem=self.text_of(error), status=getattr(error, "status", 503))
        self.redirect(f"{self.desk.base}keep", status=303)

    async def show(self, *, restored: RestoredView | None = None, problem: str = "", status: int = 200) -> None:
        """Send the page, with the result of a form."""
        self.set_status(status)
        self.finish(
            self.render_page(
                "user/keep.html",
                state={"user": {"name": self.user_name, "admin": self.is_admin}},
                formats=Formats(LOCALES[self.language_texts.language], self.zone),
                file_size=file_size,
                view=await self.view(),
                restored=restored,
                problem=problem,
            )
        )

    @property
    def here(self) -> str:
        """Its own address, after a POST, too."""
        return f"{self.desk.base}keep"


async def running_of(handler: UserHandler) -> Instance:
    """The person's running default instance. Raises `NotRunning`."""
    latest = await handler.desk.ledger.aread(instances.latest, handler.person_id, "")
    if latest is None or latest.state is not InstanceState.RUNNING or latest.url is None:
        raise NotRunning("No notebook is running.", next_step="Start one first.")
    return latest


async def _pieces(first: bytes, rest: Iterator[bytes]) -> AsyncIterator[bytes]:
    piece = first
    while piece:
        yield piece
        piece = await asyncio.to_thread(next, rest, b"")


def _read_keep(connection: Connection, person_id: str) -> tuple[bool, list[Bundle], Instance | None]:
    return (
        choices.is_chosen(connection, person_id),
        bundles.of_person(connection, person_id),
        instances.latest(connection, person_id, ""),
    )
