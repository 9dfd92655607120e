"""Whether ledger and cluster say the same."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from spawner.ledger import Instance
from tests.kubernetes.conftest import PoolNamespace
from tests.stack import Stack

WORDS_OF_KUBERNETES = ("pod", "Pod", "node", "kube", "image \"", "Err", "quota", "Insufficient", "namespace", "ubelet")


@dataclass(frozen=True)
class Platform:
    """A Freepool, and the namespace that it lends from."""

    stack: Stack
    pool: PoolNamespace

    def pods(self) -> dict[str, dict[str, Any]]:
        """Pods by slot."""
        found = self.pool.admin.pods(self.pool.name).values()
        return {pod["metadata"]["labels"]["freepool/slot"]: pod for pod in found}

    def loan(self, user: str) -> Instance | None:
        """The user's loan that is not over."""
        return next((loan for loan in self.stack.unended() if loan.user_name == user), None)

    def wait_for_order(self, seconds: float = 120) -> None:
        """Wait until the ledger equals the cluster, and every loan that lives has its slot."""
        deadline = time.monotonic() + seconds
        while True:
            rows, pods, loans = self.stack.slots(), self.pods(), self.stack.unended()
            known = {slot.id for slot in rows}
            if pods.keys() == known and all(loan.state == "running" and loan.slot_id in known for loan in loans):
                return
            assert time.monotonic() < deadline, f"rows {rows}\npods {list(pods)}\nloans {loans}"
            time.sleep(0.2)

    def state(self, user: str) -> dict[str, Any]:
        """What the desk shows a user."""
        answer = self.stack.desk("GET", "api/state", token=self.stack.user_token(user))
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    def flavor(self, user: str, flavor: str) -> dict[str, Any]:
        """A flavor as the desk shows it."""
        return next(one for one in self.state(user)["flavors"] if one["id"] == flavor)

    def ask(self, user: str, **options: str) -> dict[str, Any]:
        """Start from the desk; the refusal (code, message, next, details)."""
        answer = self.stack.desk("POST", "api/instance", token=self.stack.user_token(user), json=options)
        assert answer.status_code < 300, answer.text
        return answer.json()  # type: ignore[no-any-return]
