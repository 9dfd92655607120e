"""How an instance's server is told to run cells itself."""

from __future__ import annotations

import json

from spawner.instance.execution.settings import arguments, is_installed
from tests.stack import PROJECT


def test_nothing_is_written_into_the_workspace_and_no_notebook_is_dropped_from_the_server() -> None:
    options = dict(one.split("=", 1) for one in arguments("/run/folder"))
    assert options["--YDocExtension.session_store_path"].startswith("/run/folder/")
    assert options["--BaseFileIdManager.db_path"] == ":memory:"
    assert options["--YDocExtension.ystore_class"].endswith(".NoStore")
    assert options["--YDocExtension.document_cleanup_delay"] == "None"


def test_an_image_without_the_packages_is_no_error() -> None:
    assert not is_installed()  # the hub's environment, which runs this, is one


def test_every_image_hides_the_history_that_is_not_kept() -> None:
    for folder in ("light", "instance"):
        page = json.loads((PROJECT / "images" / folder / "page_config.json").read_text())
        assert page["disabledExtensions"]["@jupyter/docprovider-extension:statusBarTimeline"] is True
