"""People: what is somebody's hangs on an id. A person for each name, and for each user of that name that is known."""

import secrets
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
POOL = {"instances": "requested_at", "tickets": "joined_at"}
PAID = {"bindings": "proven_at", "consents": "offered_at", "orders": "created_at"}
TIMES = {**POOL, **PAID, "notices": "at"}
"""When a row was written, by table."""
LIVE, WAITING = "state IN ('starting', 'running')", "state = 'waiting'"
LINKED, ACCEPTED, UNENDED = "state != 'unlinked'", "state = 'accepted'", "state NOT IN ('gone', 'rejected')"

BEFORE = (
    ("instances_by_user", "instances", ["user_name", "server_name", "requested_at"], None),
    ("instances_one_live", "instances", ["user_name", "server_name"], LIVE),
    ("tickets_by_user", "tickets", ["user_name", "state"], None),
    ("tickets_one_waiting", "tickets", ["user_name"], WAITING),
    ("bindings_one_linked", "bindings", ["user_name", "user_since", "provider", "account_id"], LINKED),
    ("consents_by_user", "consents", ["user_name", "offered_at"], None),
    ("consents_one_accepted", "consents", ["user_name", "server_name"], ACCEPTED),
    ("orders_by_user", "orders", ["user_name", "created_at"], None),
    ("orders_one_active", "orders", ["user_name", "server_name"], UNENDED),
    ("notices_by_user", "notices", ["user_name", "seen_at"], None),
)
"""Name, table, columns, and the condition of a unique index."""
NOW = (
    ("instances_by_person", "instances", ["person_id", "server_name", "requested_at"], None),
    ("instances_one_live", "instances", ["person_id", "server_name"], LIVE),
    ("tickets_by_person", "tickets", ["person_id", "state"], None),
    ("tickets_one_waiting", "tickets", ["person_id"], WAITING),
    ("bindings_one_linked", "bindings", ["person_id", "provider", "account_id"], LINKED),
    ("consents_by_person", "consents", ["person_id", "offered_at"], None),
    ("consents_one_accepted", "consents", ["person_id", "server_name"], ACCEPTED),
    ("orders_by_person", "orders", ["person_id", "created_at"], None),
    ("orders_one_active", "orders", ["person_id", "server_name"], UNENDED),
    ("notices_by_person", "notices", ["person_id", "seen_at"], None),
)


def upgrade() -> None:
    """Make the tables, and fill them."""
    _create_tables()
    for table in TIMES:
        op.add_column(table, sa.Column("person_id", sa.String(32)))
    _fill()
    _replace_indexes(BEFORE, NOW, lambda table: table.alter_column("person_id", nullable=False))


def downgrade() -> None:
    """Drop them. Rows of one person under several names, or of several under one, are told apart by name again."""
    _rename_duplicates()
    _replace_indexes(NOW, BEFORE, lambda table: table.drop_column("person_id"))
    for table in ("person_groups", "people"):
        op.drop_table(table)


def _create_tables() -> None:
    op.create_table(
        "people",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("hub_name", sa.String(255), nullable=False),
        sa.Column("hub_id", sa.Integer, unique=True),
        sa.Column("hub_since", sa.String(40)),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("issuer", sa.String(255)),
        sa.Column("identity", sa.String(64), unique=True),
        sa.Column("trust", sa.String(16), nullable=False),
    )
    op.create_index("people_by_name", "people", ["hub_name"])
    op.create_table(
        "person_groups",
        sa.Column("person_id", sa.String(32), primary_key=True),
        sa.Column("source", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("set_at", TIME, nullable=False),
        sa.Column("set_by", sa.String(255), nullable=False),
    )


def _replace_indexes(old: Any, new: Any, change: Any) -> None:
    for name, table, _, _ in old:
        op.drop_index(name, table)
    for table in TIMES:
        with op.batch_alter_table(table) as altered:
            change(altered)
    for name, table, columns, condition in new:
        where = None if condition is None else sa.text(condition)
        op.create_index(name, table, columns, unique=condition is not None, sqlite_where=where, postgresql_where=where)


@dataclass
class Namesakes:
    """The people of one name. `by_since` are those whose time of creation is known, from rows of paid instances."""

    by_since: dict[str, str] = field(default_factory=dict)
    first_row: dict[str, datetime] = field(default_factory=dict)
    unknown: str | None = None

    def of(self, since: str | None, at: datetime) -> str:
        """The person whom JupyterHub made at this time; where that is not known, the last one made before `at`."""
        if not since:
            made = sorted(known for known in self.by_since if _time(known) <= at)
            since = made[-1] if made else None
        if since:
            person_id = self.by_since.setdefault(since, secrets.token_hex(16))
        else:
            person_id = self.unknown = self.unknown or secrets.token_hex(16)
        self.first_row[person_id] = min(at, self.first_row.get(person_id, at))
        return person_id


def _time(since: str) -> datetime:
    try:
        return datetime.fromisoformat(since).astimezone(UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _fill() -> None:
    connection = op.get_bind()
    namesakes: dict[str, Namesakes] = defaultdict(Namesakes)
    of_row: dict[str, str] = {}
    """The person by id of a binding or an order, for the notices about it."""
    for name in (*PAID, *POOL, "notices"):
        table = _table(name)
        key = table.c.seq if name == "notices" else table.c.id
        for row in connection.execute(sa.select(table)).all():
            columns = row._mapping
            at = columns[TIMES[name]]
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
            about = of_row.get(columns.get("order_id") or "") or of_row.get(columns.get("binding_id") or "")
            person_id = about if name == "notices" and about else None
            person_id = person_id or namesakes[columns["user_name"]].of(columns.get("user_since"), at)
            if name in PAID:
                of_row[columns["id"]] = person_id
            connection.execute(sa.update(table).where(key == columns[key.name]).values(person_id=person_id))
    people = _people(namesakes)
    if people:
        connection.execute(sa.insert(_table("people")), people)


def _people(namesakes: dict[str, Namesakes]) -> list[dict[str, Any]]:
    return [
        {
            "id": person_id,
            "hub_name": name,
            "hub_since": since,
            "created_at": same.first_row[person_id],
            "trust": "known",
        }
        for name, same in namesakes.items()
        for since, person_id in [*same.by_since.items(), *([(None, same.unknown)] if same.unknown else [])]
    ]


def _rename_duplicates() -> None:
    """Names must tell live rows apart. Where two people of one name have them, the name gets the person's id."""
    connection = op.get_bind()
    for name, _, _, condition in [one for one in BEFORE if one[3] is not None]:
        table_name, columns = next((one[1], one[2]) for one in BEFORE if one[0] == name)
        table = _table(table_name)
        seen: set[tuple[Any, ...]] = set()
        query = sa.select(table).where(sa.text(condition)).order_by(table.c[TIMES[table_name]].desc(), table.c.id)
        for row in connection.execute(query).all():
            marks = tuple(row._mapping[column] for column in columns)
            if marks in seen:
                other = f"{row.user_name[:200]} ({row.person_id})"
                connection.execute(sa.update(table).where(table.c.id == row.id).values(user_name=other))
            seen.add(marks)


def _table(name: str) -> sa.TableClause:
    names = {
        "people": ["id", "hub_name", "hub_since", "trust"],
        "instances": ["id", "user_name", "person_id", "server_name", "state"],
        "tickets": ["id", "user_name", "person_id", "server_name", "state"],
        "bindings": ["id", "user_name", "user_since", "person_id", "provider", "account_id", "state"],
        "consents": ["id", "user_name", "user_since", "person_id", "server_name", "state"],
        "orders": ["id", "user_name", "user_since", "person_id", "server_name", "state"],
        "notices": ["seq", "user_name", "person_id", "order_id", "binding_id"],
    }[name]
    time = "created_at" if name == "people" else TIMES[name]
    return sa.table(
        name,
        *(sa.column(column, sa.Integer if column == "seq" else sa.String) for column in names),
        sa.column(time, TIME),
    )
