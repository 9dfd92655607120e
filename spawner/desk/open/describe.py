"""Puts a link, its machine types and its progress into words. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from spawner.desk.durations import size
from spawner.desk.i18n import Translations
from spawner.desk.open.views import Choice, Description, OpenView
from spawner.desk.user.landing import free_view, resources
from spawner.desk.user.views import ExampleView, FlavorView, State
from spawner.links.look import Seen
from spawner.links.machine_types import Offer, best, fit_of
from spawner.links.target import COMMIT, Kind, Target
from spawner.pool.fits import NOTHING, Lack, Resources, lacks

WARNING = (
    "This content is not from this platform. It is opened, not run: check who wrote it before you run its cells. What "
    "you run can read the files in your notebook."
)
ANY_COMMIT = "This link names a commit by its id: it may be from another person's copy (fork) of this repository."
"""Hosts such as GitHub keep all forks of a repository in one place, and return their commits under each one's name."""
LACKS = {
    Lack.GPU: "Needs a GPU with {gpu} memory",
    Lack.GPU_MEMORY: "Needs a GPU with {gpu} memory",
    Lack.MEMORY: "Needs {memory} memory",
    Lack.DISK: "Needs {disk} disk",
    Lack.TIME: "Sessions are too short for this",
}
SHOWN_HASH = 12
FAILURES = {
    "not_found": "The repository was not found, or is not public.",
    "no_ref": "The repository has no such branch, tag or commit.",
    "no_file": "The repository has no such file.",
    "not_a_notebook": "The address did not return a notebook file.",
    "redirected": "The address redirects to another address, which is not allowed.",
    "unreachable": "The server could not be reached from your notebook.",
    "timed_out": "The download took too long.",
    "too_large": "It is too large to be opened by a link.",
    "too_many": "It has too many files to be opened by a link.",
    "disk_full": "The notebook's disk is full.",
    "no_git": "This notebook's image has no Git.",
}
"""By the code of the instance's answer."""
FAILED = "It could not be opened."
CHECK = "Check the link, or ask its author for a new one."
FREE_SPACE = "Delete files in your notebook, then try again."
NEXT = {"disk_full": FREE_SPACE, "unreachable": "Try again in a moment.", "timed_out": "Try again in a moment."}


def describe(target: Target, example: ExampleView | None, texts: Translations, seen: Seen | None = None) -> Description:
    """What the address says, and its server, where it was asked. An example is the platform's own."""
    if target.kind is Kind.EXAMPLE:
        assert example is not None
        return Description(example.title, ((texts.say("About"), example.summary),), icon=example.icon)
    rows = [(texts.say("Server"), target.host)]
    if target.kind is Kind.GIT:
        rows.append((texts.say("Repository"), target.repository))
        rows.append((texts.say("Branch, tag or commit"), target.ref or texts.say("Default branch")))
    if target.file:
        rows.append((texts.say("File"), target.file))
    if seen is not None:
        rows.append(_seen_row(target, seen, texts))
    title = target.file.rsplit("/", 1)[-1] or target.repository.rsplit("/", 1)[-1]
    of_whom = texts.say(ANY_COMMIT) if COMMIT.fullmatch(target.ref) else ""
    return Description(title, tuple(rows), warning=texts.together(texts.say(WARNING), of_whom))


def _seen_row(target: Target, seen: Seen, texts: Translations) -> tuple[str, str]:
    unknown = texts.say("Not known until it is opened: the server did not say")
    if target.kind is Kind.GIT:
        return texts.say("Commit"), seen.commit[:SHOWN_HASH] if seen.commit else unknown
    return texts.say("Size"), unknown if seen.size is None else size(seen.size, texts.language)


def choices(
    flavors: Sequence[FlavorView], example: ExampleView | None, preferred: str, texts: Translations
) -> list[Choice]:
    """The machine types, with the one to choose at first checked. What else than an example needs is not known."""
    needs = NOTHING if example is None else _needs(example)
    offers = {flavor.id: _offer(flavor) for flavor in flavors}
    chosen = best(list(offers.values()), needs, preferred)
    return [
        Choice(
            id=flavor.id,
            title=flavor.title,
            resources=resources(flavor, texts),
            text=_text(flavor, lacks(needs, offers[flavor.id].has), needs, texts),
            fit=fit_of(offers[flavor.id], needs),
            checked=flavor.id == chosen,
        )
        for flavor in flavors
    ]


def _offer(flavor: FlavorView) -> Offer:
    can_start = flavor.available > 0 and not flavor.reason
    return Offer(
        id=flavor.id,
        has=Resources(
            memory=flavor.memory_bytes,
            disk=flavor.disk_bytes,
            seconds=flavor.session_seconds,
            gpu_memory=flavor.accelerator.memory_bytes if flavor.accelerator else None,
        ),
        available=flavor.available if can_start else 0,
        can_queue=flavor.queue and not can_start,
        wait_seconds=None if flavor.wait_seconds is None else float(flavor.wait_seconds[1]),
    )


def _needs(example: ExampleView) -> Resources:
    return Resources(
        memory=example.needs.memory_bytes,
        disk=example.needs.disk_bytes,
        seconds=example.seconds,
        gpu_memory=example.needs.accelerator_memory_bytes,
    )


def _text(flavor: FlavorView, lacking: tuple[Lack, ...], needs: Resources, texts: Translations) -> str:
    if not lacking:
        return free_view(flavor, texts).text
    sizes = {"memory": needs.memory, "disk": needs.disk, "gpu": needs.gpu_memory or 0}
    return texts.say(LACKS[lacking[0]], **{name: size(bytes_, texts.language) for name, bytes_ in sizes.items()})


def progress(state: State, texts: Translations, *, page: str, image: str | None) -> OpenView | None:
    """What is to be said before the link can be opened; None: the notebook runs, and has the image.

    `page`: the link's own page, where the user decides. `image`: the one that the link needs; None: any.
    """
    instance, ticket = state.instance, state.ticket
    if instance is not None:
        if instance.state == "stopping":
            return OpenView(state="stopping", text=texts.say("Your previous notebook is stopping."))
        if image is not None and instance.image != image:
            text = texts.say("Your running notebook does not have the image that this example needs.")
            return OpenView(state="other_image", text=text, url=page)
        if instance.problem is not None:
            return OpenView(state="failed", text=instance.problem)
        if instance.state == "starting":
            return OpenView(state="starting", text=texts.say("Starting your notebook"))
        return None
    if ticket is not None:
        if ticket.place is None:
            return OpenView(state="starting", text=texts.say("Starting your notebook"))
        return OpenView(state="queued", text=texts.say("You are number {place} in the queue.", place=ticket.place))
    last = state.last.text if state.last is not None and state.last.failed else texts.say("No notebook is running.")
    return OpenView(state="idle", text=last, url=page)


def failure(code: str, details: str, texts: Translations) -> OpenView:
    """A fetch that the instance reports as failed."""
    return OpenView(
        state="failed",
        text=texts.say(FAILURES.get(code, FAILED)),
        next=texts.say(NEXT.get(code, CHECK)),
        details=details,
    )


def file_url(notebook_url: str, path: str, language: str) -> str:
    """The address of a file or folder in JupyterLab, which opens in the language of our pages."""
    return f"{notebook_url}lab/tree/{quote(path)}?language={language}"
