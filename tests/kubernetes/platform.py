"""Checks that ledger and cluster agree."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import Any

from spawner.ledger import Instance
from spawner.pool.backends.kubernetes.manifest import pod_name
from spawner.refusals import REFUSAL_HEADER
from tests.kubernetes.conftest import PoolNamespace
from tests.stack import Stack

FOREIGN = re.compile(
    r"\b(pods?|nodes?|quota|namespace|kube\w*|Insufficient|ErrImage\w*|InvalidImage\w*|forbidden)\b", re.IGNORECASE
)
"""Kubernetes terms, which belong into the details for the administrator only."""


@dataclass(frozen=True)
class Refused:
    """The texts of a refusal."""

    code: str
    message: str
    next: str
    details: str

    def in_words(self) -> Refused:
        """Assert that message and next step are there and free of Kubernetes terms; returns itself."""
        assert self.message, self
        assert self.next, self
        assert not FOREIGN.search(self.message + self.next), self
        return self


@dataclass(frozen=True)
class Platform:
    """A Freepool and the namespace of its pool."""

    stack: Stack
    pool: PoolNamespace

    def pods(self) -> dict[str, dict[str, Any]]:
        """Pods by slot."""
        found = self.pool.admin.pods(self.pool.name).values()
        return {pod["metadata"]["labels"]["freepool/slot"]: pod for pod in found}

    def instance(self, user: str) -> Instance | None:
        """The user's unended instance."""
        return next((instance for instance in self.stack.unended() if instance.user_name == user), None)

    def stop(self, user: str) -> None:
        """Stop a user's server without waiting for the wipe."""
        answer = self.stack.api("DELETE", f"/users/{user}/server")
        assert answer.status_code in (202, 204), answer.text

    def evict(self, slot_id: str) -> None:
        """Ask for the eviction of a pod, as a drain does; a refusal fails with the server's words."""
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod_name(slot_id)}}
        path = f"/api/v1/namespaces/{self.pool.name}/pods/{pod_name(slot_id)}/eviction"
        self.pool.admin.kubectl("create", "--raw", path, "-f", "-", given=json.dumps(eviction))

    def wait_for_order(self, seconds: float = 120, *, all_over: bool = False) -> None:
        """Wait until the ledger matches the cluster and every instance has its slot, unless it is stopping.

        `all_over`: also wait until stopping instances and slots are gone.
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
        """The desk's state for a user."""
        answer = self.stack.desk("GET", "api/state", token=self.stack.user_token(user))
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    def flavor(self, user: str, flavor: str) -> dict[str, Any]:
        """A flavor as the desk shows it."""
        return next(shown for shown in self.state(user)["flavors"] if shown["id"] == flavor)

    def refused(self, user: str, **options: str) -> Refused:
        """Request a start that must fail; returns the refusal."""
        answer = self.stack.start(user, **options)
        assert answer.status_code >= 400, answer.text
        fields = json.loads(answer.headers[REFUSAL_HEADER])
        return Refused(
            code=fields["code"],
            message=fields["template"].format(**fields["params"]),
            next=fields["next"].format(**fields["params"]),
            details=fields["details"],
        )
