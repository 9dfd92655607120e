"""Whether ledger and cluster say the same."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import Any

from spawner.ledger import Instance
from spawner.refusals import REFUSAL_HEADER
from tests.kubernetes.conftest import PoolNamespace
from tests.stack import Stack

FOREIGN = re.compile(
    r"\b(pods?|nodes?|quota|namespace|kube\w*|Insufficient|ErrImage\w*|InvalidImage\w*|forbidden)\b", re.IGNORECASE
)
"""Words that belong into the details, for the operator."""


@dataclass(frozen=True)
class Refused:
    """What a user reads when something cannot be."""

    code: str
    message: str
    next: str
    details: str

    def in_words(self) -> Refused:
        """Itself, if it is said in words that people know, with what to do next."""
        assert self.message, self
        assert self.next, self
        assert not FOREIGN.search(self.message + self.next), self
        return self


@dataclass(frozen=True)
class Platform:
    """A Freepool, and the namespace that it lends from."""

    stack: Stack
    pool: PoolNamespace

    def pods(self) -> dict[str, dict[str, Any]]:
        """Pods by slot."""
        found = self.pool.admin.pods(self.pool.name).values()
        return {pod["metadata"]["labels"]["freepool/slot"]: pod for pod in found}

    def instance(self, user: str) -> Instance | None:
        """The user's loan that is not over."""
        return next((instance for instance in self.stack.unended() if instance.user_name == user), None)

    def stop(self, user: str) -> None:
        """Ask for the end of a user's server, without waiting until everything of it is wiped."""
        answer = self.stack.api("DELETE", f"/users/{user}/server")
        assert answer.status_code in (202, 204), answer.text

    def wait_for_order(self, seconds: float = 120, *, all_over: bool = False) -> None:
        """Wait until the ledger equals the cluster, and every loan has its slot, unless it is ending.

        `all_over`: wait for the end of those, too.
        """
        deadline = time.monotonic() + seconds
        while True:
            rows, pods, unended = self.stack.slots(), self.pods(), self.stack.unended()
            known = {slot.id for slot in rows}
            is_over = not any(slot.state == "destroying" for slot in rows)
            if (
                pods.keys() == known
                and (is_over or not all_over)
                and all(
                    (instance.state == "stopping" and not all_over)
                    or (instance.state == "running" and instance.slot_id in known)
                    for instance in unended
                )
            ):
                return
            assert time.monotonic() < deadline, f"rows {rows}\npods {list(pods)}\ninstances {unended}"
            time.sleep(0.2)

    def state(self, user: str) -> dict[str, Any]:
        """What the desk shows a user."""
        answer = self.stack.desk("GET", "api/state", token=self.stack.user_token(user))
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    def flavor(self, user: str, flavor: str) -> dict[str, Any]:
        """A flavor as the desk shows it."""
        return next(one for one in self.state(user)["flavors"] if one["id"] == flavor)

    def refused(self, user: str, **options: str) -> Refused:
        """Start what cannot start; what the user reads."""
        answer = self.stack.start(user, **options)
        assert answer.status_code >= 400, answer.text
        fields = json.loads(answer.headers[REFUSAL_HEADER])
        return Refused(
            code=fields["code"],
            message=fields["template"].format(**fields["params"]),
            next=fields["next"].format(**fields["params"]),
            details=fields["details"],
        )
