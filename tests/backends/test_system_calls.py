"""The sandbox's system call filter, tried from a notebook."""

from __future__ import annotations

import shutil

import pytest

from spawner.pool.backends.local import syscalls
from tests.backends.conftest import as_root
from tests.backends.notebook import Notebook
from tests.backends.system_calls import EXPECTED, FREE, PROGRAM, without_filter

NOBODY = 65534


@pytest.mark.asyncio(loop_scope="module")
async def test_no_instance_makes_a_call_that_containerds_default_refuses(alice: Notebook) -> None:
    assert await alice.ask("found", setup=PROGRAM) == EXPECTED


@pytest.mark.asyncio(loop_scope="module")
async def test_every_process_of_a_notebook_has_the_filter(alice: Notebook) -> None:
    modes = await alice.ask(
        "{p: [l.split()[1] for l in open(f'/proc/{p}/status') if l.startswith('Seccomp:')] for p in "
        "__import__('os').listdir('/proc') if p.isdigit() and p != '1'}"
    )
    assert set(map(str, modes.values())) == {"['2']"}


@as_root
@pytest.mark.skipif(shutil.which("python3", path="/usr/bin") is None, reason="needs the system's Python")
def test_without_the_filter_the_same_calls_reach_the_kernel() -> None:
    """Else the test above could not fail."""
    found = without_filter(NOBODY)
    assert {name for name in FREE if found[name] == EXPECTED[name]} == set()


def test_a_machine_without_libseccomp_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "LIBRARY", "libnothing.so.2")
    with pytest.raises(OSError, match=r"libnothing\.so\.2"):
        syscalls.program.__wrapped__()
