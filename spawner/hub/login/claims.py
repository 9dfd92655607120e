"""What a provider has said about somebody, read with care: providers send groups in many shapes, or not at all."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spawner.login_settings import LoginSettings

MOST_GROUPS = 1000
LONGEST_GROUP = 255
"""Characters of a group's name in JupyterHub's database."""
KEPT = "freepool"
"""Key in JupyterHub's auth_state of what Freepool keeps about a login."""


@dataclass(frozen=True)
class Groups:
    """Groups in a claim. `complaint` says, for the log, what of it could not be used."""

    names: frozenset[str] = frozenset()
    complaint: str | None = None


@dataclass(frozen=True)
class Kept:
    """What is kept in auth_state: the account at the provider, its groups there, and when the user logged in."""

    issuer: str
    subject: str
    groups: tuple[str, ...]
    login_at: float

    @classmethod
    def read(cls, auth_state: Mapping[str, Any] | None) -> Kept | None:
        """From a user's auth_state; None for a user whom this login has not seen."""
        found = (auth_state or {}).get(KEPT)
        if not isinstance(found, Mapping):
            return None
        try:
            groups = tuple(map(str, found["groups"]))
            return cls(str(found["issuer"]), str(found["subject"]), groups, float(found["login_at"]))
        except (KeyError, TypeError, ValueError):
            return None

    def as_dict(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return {
            "issuer": self.issuer,
            "subject": self.subject,
            "groups": list(self.groups),
            "login_at": self.login_at,
        }

    def is_same_account(self, other: Kept) -> bool:
        """Whether both are one account of one provider, whatever its name is now."""
        return (self.issuer, self.subject) == (other.issuer, other.subject)


def find_claim(claims: Mapping[str, Any], path: str) -> Any:
    """The claim of this name, or the one that the dotted path leads to; None where there is none."""
    if path in claims:  # names may contain dots themselves, such as https://example.org/groups
        return claims[path]
    found: Any = claims
    for key in path.split("."):
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    return found


def read_groups(claims: Mapping[str, Any], path: str) -> Groups:
    """Groups are a list of names, of numbers or of objects with a name; one name; or an object whose keys are names."""
    found = find_claim(claims, path)
    if found is None:
        return Groups(complaint=f"there is no claim {path} among {', '.join(sorted(claims))}")
    if isinstance(found, str | int):
        found = [found]
    if not isinstance(found, Sequence | Mapping):
        return Groups(complaint=f"the claim {path} is neither a list nor a name")
    names, unusable = set(), 0
    for item in found:
        name = _group_name(item)
        if name is None:
            unusable += 1
        else:
            names.add(name)
    kept = sorted(names)[:MOST_GROUPS]
    unusable += len(names) - len(kept)
    return Groups(frozenset(kept), f"{unusable} groups in the claim {path} cannot be used" if unusable else None)


def _group_name(item: Any) -> str | None:
    if isinstance(item, Mapping):
        item = item.get("name")
    if isinstance(item, int) and not isinstance(item, bool):
        item = str(item)
    if not isinstance(item, str):
        return None
    name = unicodedata.normalize("NFC", item).strip()
    return name if 0 < len(name) <= LONGEST_GROUP and name.isprintable() else None


def merge_groups(current: frozenset[str], before: frozenset[str], now: frozenset[str]) -> frozenset[str]:
    """A user's groups once the provider has named them: what it named `before` goes, and others stay."""
    return (current - before) | now


def is_in_disguise(name: str) -> bool:
    """Whether lower case, in which JupyterHub has names, makes ASCII of it: the Kelvin sign becomes a k."""
    return any(not one.isascii() and one.lower().isascii() for one in name)


def mail_domain(claims: Mapping[str, Any]) -> str | None:
    """The domain of a verified mail address."""
    mail = claims.get("email")
    if not isinstance(mail, str) or claims.get("email_verified") is not True:
        return None
    return mail.rpartition("@")[2].lower() or None


def is_admin(rules: LoginSettings, name: str, groups: frozenset[str]) -> bool:
    """Whether the settings make this user an administrator."""
    return name in rules.admin_users or not groups.isdisjoint(rules.admin_groups)


def is_admitted(rules: LoginSettings, name: str, groups: frozenset[str], domain: str | None) -> bool:
    """Whether the settings let this user in: each of them is enough."""
    return (
        rules.allow_all
        or is_admin(rules, name, groups)
        or name in rules.allowed_users
        or not groups.isdisjoint(rules.allowed_groups)
        or domain in rules.allowed_domains
    )
