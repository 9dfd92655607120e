"""Tables of people."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, UniqueConstraint

from spawner.hub_settings import MAIN_HUB
from spawner.ledger.people.rows import BanCode, GroupSource, TrustClass
from spawner.ledger.schema import EnumText, ForeignName, PlainJson, PlainText, UtcDateTime, metadata

people = Table(
    "people",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("hub_name", ForeignName(255), nullable=False),
    Column("hub_id", Integer),
    Column("hub_since", ForeignName(40)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("issuer", ForeignName(255)),
    Column("identity", String(64)),
    Column("trust", EnumText(TrustClass, 16), nullable=False),
    Column("claims_held", PlainJson(none_as_null=True)),
    Column("account_since", UtcDateTime),
    Column("operator_trust", EnumText(TrustClass, 16)),
    Column("operator_trust_by", ForeignName(255)),
    Column("operator_trust_at", UtcDateTime),
    Column("forgotten_at", UtcDateTime),
    Column("hub", String(20), nullable=False, server_default=MAIN_HUB),
    UniqueConstraint("identity", name="people_identity_key"),
)
Index("people_by_name", people.c.hub_name)
Index("people_by_hub_user", people.c.hub, people.c.hub_id, unique=True)

hub_moves = Table(
    "hub_moves",
    metadata,
    Column("hub", String(20), primary_key=True),
    Column("hub_id", Integer, primary_key=True),
    Column("hub_since", ForeignName(40), primary_key=True),
    Column("person_id", String(32), nullable=False),
    Column("moved_at", UtcDateTime, nullable=False),
)
"""JupyterHub users whose person was moved to another hub. JupyterHub still has the user, with sessions and tokens."""
Index("hub_moves_by_person", hub_moves.c.person_id)

person_groups = Table(
    "person_groups",
    metadata,
    Column("person_id", String(32), primary_key=True),
    Column("source", EnumText(GroupSource, 16), primary_key=True),
    Column("name", ForeignName(255), primary_key=True),
    Column("set_at", UtcDateTime, nullable=False),
    Column("set_by", ForeignName(255), nullable=False),
)

bans = Table(
    "bans",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("person_id", String(32), nullable=False),
    Column("code", EnumText(BanCode, 16), nullable=False),
    Column("evidence", PlainText, nullable=False),
    Column("note", PlainText, nullable=False),
    Column("appeal", PlainText, nullable=False),
    Column("banned_by", ForeignName(255), nullable=False),
    Column("banned_at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime),
    Column("lifted_at", UtcDateTime),
    Column("lifted_by", ForeignName(255)),
)
Index("bans_by_person", bans.c.person_id)

invitations = Table(
    "invitations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("code_hash", String(64), nullable=False, unique=True),
    Column("trust", EnumText(TrustClass, 16), nullable=False),
    Column("groups", PlainJson, nullable=False),
    Column("note", PlainText, nullable=False),
    Column("made_by", ForeignName(255), nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    Column("used_by", String(32)),
    Column("revoked_at", UtcDateTime),
    Column("revoked_by", ForeignName(255)),
)
Index("invitations_by_user", invitations.c.used_by)

arrivals = Table(
    "arrivals",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("network", String(64), primary_key=True),
    Column("count", Integer, nullable=False),
)
"""How many new accounts were admitted on a day (UTC). `network` is an HMAC; rows of earlier days are deleted."""

terms_texts = Table(
    "terms_texts",
    metadata,
    Column("version", String(64), primary_key=True),
    Column("texts", PlainJson, nullable=False),
    Column("first_at", UtcDateTime, nullable=False),
)
"""What was accepted under each version: `{"terms": {"en": …, "zh": …}, "privacy": …}`."""

terms_acceptances = Table(
    "terms_acceptances",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("person_id", String(32), nullable=False),
    Column("version", String(64), nullable=False),
    Column("accepted_at", UtcDateTime, nullable=False),
    Column("language", String(16), nullable=False),
)
Index("terms_acceptances_one", terms_acceptances.c.person_id, terms_acceptances.c.version, unique=True)
Index("terms_acceptances_by_time", terms_acceptances.c.accepted_at)
