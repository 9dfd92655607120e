"""The home page offers the download of all files where the notebook's image can make it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from spawner.catalog import Image
from spawner.desk.i18n import load_translations
from spawner.desk.user.state import _instance
from spawner.ledger import InstanceState
from tests.unit import make

BARE = Image(id="bare", title=make.TEXT, summary=make.TEXT, reference="bare", agent=False)
CATALOG = make.catalog(images=(make.image(), BARE))
ARCHIVE = "/user/ann/freepool/files.zip"


@pytest.mark.parametrize(
    ("image", "state", "url"),
    [
        ("cpu", InstanceState.RUNNING, ARCHIVE),
        ("cpu", InstanceState.STARTING, None),
        ("bare", InstanceState.RUNNING, None),
        ("dropped from the catalog", InstanceState.RUNNING, ARCHIVE),
    ],
)
def test_files_are_offered_of_a_running_image_with_the_agent(image: str, state: InstanceState, url: str | None) -> None:
    pool = SimpleNamespace(controls=SimpleNamespace(drain=None))
    snapshot: Any = SimpleNamespace(
        current=make.instance("i1", state, image=image), pool=pool, progress=[], begun_at=None, keeps_files=False
    )
    assert _instance(snapshot, CATALOG, load_translations()["en"], "ann").files_url == url
