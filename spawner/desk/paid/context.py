"""What only the pages and the API of paid instances need."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from spawner.desk.paid.role import RoleGuide
from spawner.desk.user_locks import UserLocks
from spawner.paid.paid import Paid

SIGN_IN_LIFETIME = timedelta(minutes=10)
"""Between the start of a sign-in at the cloud and its end."""


@dataclass(frozen=True)
class SignIn:
    """One sign-in at the cloud. It is kept in a signed cookie; `nonce` comes back from the cloud, too."""

    nonce: str
    verifier: str
    person_id: str
    provider: str


@dataclass(frozen=True)
class Proof:
    """The account that the user signed in to. `subject` is the cloud's id of that login."""

    account_id: str
    subject: str


class AccountProof(Protocol):
    """Finds out which cloud account a user owns. `oauth_proof.OAuthProof` is the implementation.

    It needs an OAuth library that is installed only where paid instances are offered, so nothing here imports it.
    """

    def begin(self, person_id: str, provider: str) -> tuple[str, str]:
        """The URL of the cloud's sign-in, and the value of the cookie."""

    def end(self, uri: str, cookie: str, person_id: str) -> tuple[SignIn, str]:
        """The sign-in that ends with the request of `uri`, and the cloud's code. Raises `NotAllowed`."""

    async def prove(self, sign_in: SignIn, code: str) -> Proof:
        """Exchange the code for the account's id. Raises `NotAllowed` or `BackendUnavailable`."""


@dataclass
class PaidParts:
    """One per process. `proof` and `role_guide` are None where no account can be linked."""

    paid: Paid
    proof: AccountProof | None = None
    role_guide: RoleGuide | None = None
    cloud_locks: UserLocks = field(default_factory=UserLocks)
    """Held while a cloud's API is called: all users share the threads for those calls."""
