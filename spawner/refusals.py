"""Encodes refusals for JupyterHub's REST API, so that the desk can translate them."""

from __future__ import annotations

import json

from spawner.errors import FreepoolError, NoHours, NotForYou, Queued

REFUSAL_HEADER = "X-Freepool-Refusal"
"""HTTP header of the answer: JSON with code, template, next, details, params. Of a request that is queued, that
policies refuse, or for which no hours are left, also its facts."""
LONGEST_DETAILS = 500


def encode_refusal(error: FreepoolError) -> str:
    """The header's value: one line of ASCII JSON."""
    return json.dumps(
        {
            "code": getattr(error, "code", "error"),
            "template": error.template,
            "next": error.next_template,
            "details": error.details[:LONGEST_DETAILS],
            "params": {name: str(value) for name, value in error.params.items()},
            **({"facts": error.facts} if isinstance(error, Queued | NotForYou | NoHours) else {}),
        }
    )
