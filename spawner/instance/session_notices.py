"""What a notebook server says by itself about its time while the desk does not answer. Pure.

The desk's notices are the rule (`spawner.pool.time.notices`). Without it a server still knows when it ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

MINUTES = (1, 5, 10, 30)
"""Before the end, the most urgent first."""
OWN = "own-"
"""Ids of these notices begin with it. The desk does not know them."""

# Title; text; text for users who have chosen to keep changed files.
TEXTS = {
    "en": (
        "{minutes} min left",
        "All files of this notebook are deleted when it ends. Download what you want to keep. The platform is not "
        "answering at the moment, so the time cannot be extended here.",
        "Download the files you must not lose. The platform is not answering at the moment, so the time cannot be "
        "extended here.",
    ),
    "zh-CN": (
        "还剩 {minutes} 分钟",
        "Notebook 结束时，其中的文件会全部删除，请及时下载。平台暂时没有响应，目前无法在这里延长时间。",
        "重要文件请先下载。平台暂时没有响应，目前无法在这里延长时间。",
    ),
}


def language_of(wanted: str) -> str:
    """The language of our texts that fits a BCP 47 tag."""
    return "zh-CN" if wanted.lower().startswith("zh") else "en"


def time_of(session: Mapping[str, Any], name: str) -> float | None:
    """A time of the desk's JSON as seconds since 1970; None where there is none."""
    value = session.get(name)
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else None
    except ValueError:
        return None


def own_notice(session: Mapping[str, Any], now: float, language: str) -> dict[str, Any] | None:
    """The warning that is due at `now` (seconds since 1970 by the desk's clock); None where there is none.

    None as well where the desk had written the same before it stopped answering.
    """
    ends_at = time_of(session, "ends_at")
    if ends_at is None or ends_at <= now:
        return None
    minutes = next((each for each in MINUTES if ends_at - now <= each * 60), None)
    if minutes is None or minutes in _told(session):
        return None
    title, wiped, kept = (part.format(minutes=minutes) for part in TEXTS[language_of(language)])
    return {
        "id": f"{OWN}{minutes}",
        "kind": "deadline",
        "due_at": session["ends_at"],
        "params": {"minutes": minutes},
        "title": title,
        "text": kept if session.get("keeps_files") else wiped,
        "actions": [],
        "seen_at": None,
        "answered_at": None,
    }


def seconds_to_next(session: Mapping[str, Any], now: float) -> float | None:
    """Until the next warning is due or the end comes; None for never."""
    ends_at = time_of(session, "ends_at")
    if ends_at is None:
        return None
    return min((left for each in (0, *MINUTES) if (left := ends_at - each * 60 - now) > 0), default=None)


def _told(session: Mapping[str, Any]) -> set[object]:
    notices = session.get("notices")
    found = [one for one in notices if isinstance(one, dict)] if isinstance(notices, list) else []
    return {
        one["params"].get("minutes")
        for one in found
        if one.get("kind") in ("deadline", "maintenance") and isinstance(one.get("params"), dict)
    }
