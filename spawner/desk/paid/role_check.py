"""The result of a check of a cloud account's role, as the page shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spawner.desk.i18n import Translations
from spawner.ledger.paid.rows import Binding
from spawner.paid.accounts.binding import problems_of
from spawner.paid.providers.assume_role_checks import NO_WORKSPACE
from spawner.paid.providers.base import Probe

CHOOSE_WORKSPACE = "Choose the workspace for your notebooks, then check again."
IN_REGION = "{region}: {text}"
Message = tuple[str, Mapping[str, Any]]
"""A template and its parameters."""


@dataclass(frozen=True)
class RoleCheck:
    """`problems` and `remarks` are sentences in the user's language. `workspaces` are the options in the regions that
    have several, as (id, name); `chosen` is the id of the workspace to use in each region.

    `found_good`: the check found no problem.
    """

    problems: Sequence[str] = ()
    remarks: Sequence[str] = ()
    workspaces: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    chosen: Mapping[str, str] = field(default_factory=dict)
    found_good: bool = False


def check_role(
    binding: Binding, probes: Mapping[str, Probe], choices: Mapping[str, str], texts: Translations
) -> RoleCheck:
    """Judge the probes of all regions. `choices` are the ids of the workspaces that the user chose, by region.

    A region in which the account has no workspace is left out, unless that is so in all of them.
    """
    used = {region: probe for region, probe in probes.items() if not _has_no_workspace(probe)} or probes
    problems = _sentences((problem for probe in used.values() for problem in problems_of(binding, probe)), texts)
    remarks = _sentences((remark for probe in used.values() for remark in probe.remarks), texts)
    remarks += [
        texts.say(IN_REGION, region=region, text=texts.say(NO_WORKSPACE)) for region in probes if region not in used
    ]
    chosen = {region: _workspace(probe, choices.get(region, "")) for region, probe in used.items() if probe.workspaces}
    if not problems and not all(chosen.values()):
        problems = [texts.say(CHOOSE_WORKSPACE)]
    return RoleCheck(
        problems=problems,
        remarks=remarks,
        workspaces={region: probe.workspaces for region, probe in used.items() if len(probe.workspaces) > 1},
        chosen={region: workspace for region, workspace in chosen.items() if workspace},
        found_good=not problems,
    )


def _has_no_workspace(probe: Probe) -> bool:
    return [template for template, _ in probe.problems] == [NO_WORKSPACE]


def _workspace(probe: Probe, choice: str) -> str:
    """The id of the chosen workspace, or of the only one; empty where the user has yet to choose."""
    ids = [workspace for workspace, _ in probe.workspaces]
    return choice if choice in ids else ids[0] if len(ids) == 1 else ""


def _sentences(messages: Iterable[Message], texts: Translations) -> list[str]:
    """Each once."""
    return list(dict.fromkeys(texts.say(template, **params) for template, params in messages))
