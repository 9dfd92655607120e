"""A refusal on its way through JupyterHub's REST API, so that the desk can say it in the reader's language."""

from __future__ import annotations

import json

from spawner.errors import FreepoolError, Queued

REFUSAL_HEADER = "X-Freepool-Refusal"
"""HTTP header of the answer: JSON with code, template, next, details, params, and for a place in line its facts."""
LONGEST_DETAILS = 500


def encode_refusal(error: FreepoolError) -> str:
    """One line of ASCII."""
    return json.dumps(
        {
            "code": getattr(error, "code", "error"),
            "template": error.template,
            "next": error.next_template,
            "details": error.details[:LONGEST_DETAILS],
            "params": {name: str(value) for name, value in error.params.items()},
            **({"facts": error.facts} if isinstance(error, Queued) else {}),
        }
    )
