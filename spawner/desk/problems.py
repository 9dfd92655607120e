"""Errors as they are sent: in the user's language, with titles in place of ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from spawner.catalog import Catalog
from spawner.desk.i18n import Translations
from spawner.errors import BadOption, FreepoolError, Refusal

STATUS_TEXTS = {
    400: ("The request is not valid.", "Reload the page, then try again."),
    403: ("You do not have access to this.", "Reload the page, then try again."),
    404: ("This does not exist.", "Check the address."),
    405: ("This address does not accept this kind of request.", ""),
    500: ("An internal error occurred.", "Try again. If it fails again, contact the administrator."),
}
"""What happened and what to do next, by HTTP status, where no handler has said it."""


@dataclass(frozen=True)
class Problem:
    """An error as it is sent: `status` is the HTTP status, the texts are in the user's language."""

    status: int
    code: str
    message: str
    next: str = ""
    details: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


TITLES = {
    "not_allowed": "You do not have access to this",
    "signed_out": "Sign in again",
    "rate_limited": "Too many requests",
    "not_offered": "This is turned off here",
    "other_hub": "Your account is on another server",
    "unavailable": "The platform is not responding",
}
"""Titles of the pages of errors, by their code; any other has `OTHER_TITLE`."""
OTHER_TITLE = "Something went wrong"


def title_of(problem: Problem) -> str:
    """The English title of an error's page."""
    codes = {HTTPStatus.FORBIDDEN: "not_allowed", HTTPStatus.SERVICE_UNAVAILABLE: "unavailable"}
    code = codes.get(HTTPStatus(problem.status), "") if problem.code == "error" else problem.code
    return TITLES.get(code, OTHER_TITLE)


def with_titles(error: FreepoolError, catalog: Catalog, language: str) -> dict[str, object]:
    """The error's parameters, with a flavor's and an image's title for its id, and those of `free_flavors`.

    Who gets a `BadOption` has sent an id, so it names ids.
    """
    if isinstance(error, BadOption):
        return dict(error.params)
    titles = {("flavor", flavor.id): flavor.title.in_language(language) for flavor in catalog.flavors} | {
        ("image", image.id): image.title.in_language(language) for image in catalog.images
    }
    params = {name: titles.get((name, str(value)), value) for name, value in error.params.items()}
    if "free_flavors" in params:  # ids with commas between
        comma = "、" if language == "zh-CN" else ", "
        names = str(params["free_flavors"]).split(", ")
        params["free_flavors"] = comma.join(titles.get(("flavor", name), name) for name in names)
    return params


def describe_error(error: object, status: int, texts: Translations, catalog: Catalog) -> Problem:
    """`error` is what a handler raised, if anything; `status` is Tornado's for it."""
    if isinstance(error, FreepoolError):
        params = with_titles(error, catalog, texts.language)
        return Problem(
            status=error.status if isinstance(error, Refusal) else 503,
            code=error.code if isinstance(error, Refusal) else "unavailable",
            message=texts.say(error.template, **params),
            next=texts.say(error.next_template, **params) if error.next_template else "",
            details=error.details,
            facts=getattr(error, "facts", {}),
        )
    if status in (502, 503, 504) or (status == 500 and "Hub" in str(error)):  # jupyterhub.services.auth raises those
        return Problem(
            503,
            "error",
            texts.say("The server is not responding. Running notebooks are not affected."),
            texts.say("Try again in a few seconds."),
        )
    message, next_step = STATUS_TEXTS.get(status, (HTTPStatus(status).phrase, ""))
    return Problem(status, "error", texts.say(message), texts.say(next_step) if next_step else "")
