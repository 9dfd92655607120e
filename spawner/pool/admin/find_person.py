"""Finds the person whom an administrator names, for the pages and the command line."""

from __future__ import annotations

from sqlalchemy import Connection

from spawner.catalog import echo
from spawner.errors import BadOption
from spawner.ledger.people import people
from spawner.ledger.people.rows import Person


def find_person(connection: Connection, text: str) -> Person:
    """The person of a name or id: whom JupyterHub has now under the name, else the only one who had it.

    Raises `BadOption`.
    """
    found = people.of_name(connection, text)
    present = [person for person in found if person.hub_id is not None] or found
    if len(present) == 1:
        return present[0]
    if not present:
        by_id = people.find(connection, text)
        if by_id is not None:
            return by_id
        raise BadOption(
            "Unknown user: {name}.",
            next_step="Check the name. Users are known after their first sign-in.",
            name=echo(text),
        )
    raise BadOption(
        "Several users had the name {name}.",
        next_step="Use one of these ids: {ids}.",
        name=echo(text),
        ids=", ".join(person.id for person in present),
    )
