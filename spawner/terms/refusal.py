"""What a program is told whose user has not accepted the terms, by the hub and by the desk."""

from __future__ import annotations

from spawner.errors import TermsNotAccepted


def not_accepted(address: str) -> TermsNotAccepted:
    """The refusal. `address` is the URL of the page on which the user accepts them."""
    return TermsNotAccepted(
        "You have not accepted the current terms of this platform.",
        next_step="Open {address} in your browser and accept them, then try again.",
        address=address,
    )
