"""Does at the start what would otherwise cost the first visitor a tenth of a second of the processor, or more."""

from __future__ import annotations

import asyncio
import logging

from jinja2 import Environment
from jinja2.meta import find_referenced_templates
from sqlalchemy import Connection

from spawner.desk.context import Desk
from spawner.desk.durations import size
from spawner.desk.user.context import UserParts
from spawner.desk.user.example_view import missing_models
from spawner.desk.user.state import offer_of
from spawner.errors import LedgerError

log = logging.getLogger("freepool.desk")
FIRST_SEEN = ("user/landing.html", "user/desk.html", "open/open.html", "open/wait.html", "shared/message.html")
"""With what they include and extend. The other templates are compiled where they are first used."""
GIB = 2**30


async def warm_up(desk: Desk, user: UserParts) -> None:
    """Compile templates, load units of measure, open the database and read the offer from it."""
    await asyncio.to_thread(compile_templates, desk.templates)

    def read(connection: Connection) -> None:
        pool, missing = user.snapshots.read_pool(connection), missing_models(desk.catalog, desk.settings)
        for texts in desk.texts.values():
            offer_of(pool, desk.catalog, desk.backend, texts, desk.base, missing)
            size(GIB, texts.language)

    try:
        await desk.ledger.aread(read)
    except LedgerError as error:  # pages say so themselves
        log.warning("the first page will take longer: %s", error.message)


def compile_templates(templates: Environment) -> None:
    """Jinja compiles what a template includes or extends when it is rendered, so that is looked for here."""
    assert templates.loader is not None
    known: set[str] = set()
    wanted = list(FIRST_SEEN)
    while wanted:
        name = wanted.pop()
        if name in known:
            continue
        known.add(name)
        templates.get_template(name)
        source = templates.loader.get_source(templates, name)[0]
        wanted += [one for one in find_referenced_templates(templates.parse(source)) if one]
