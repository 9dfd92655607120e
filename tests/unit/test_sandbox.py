"""The sandbox shows an instance its programs and nothing of the platform; only wiped folders are writable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spawner.instance.arguments import server_arguments
from spawner.instance.features import place_sizes, thread_variables
from spawner.pool.backends.local import sandbox
from spawner.pool.backends.local.sandbox import Sandbox, bubblewrap_command

DISK = 64 * 1024**2
READ_ONLY = ("--ro-bind", "--ro-bind-try")
PLAIN = {
    "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--die-with-parent", "--new-session",
    "--clearenv", "--unshare-user",
}  # fmt: skip
TWO = {*READ_ONLY, "--symlink", "--setenv"}
"""Options of bubblewrap that stand alone, and those with two arguments; all others in use have one."""


@pytest.fixture(params=["made by root", "made by an ordinary user"])
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Sandbox:
    """A slot's sandbox, in a state folder with files that it must not show."""
    for name in ("state/secrets", "state/slots/s1", "state/slots/s2", "images/cpu/bin", "base/bin", "package", "ex"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "base" / "bin" / "python3").touch()
    (tmp_path / "images" / "cpu" / "bin" / "python").symlink_to(tmp_path / "base" / "bin" / "python3")
    return Sandbox(
        environment=tmp_path / "images" / "cpu",
        package=tmp_path / "package",
        examples=tmp_path / "ex",
        folder=tmp_path / "state" / "slots" / "s1",
        sizes=place_sizes(memory=2 * DISK, disk=DISK),
        run_as=0x70000001 if request.param == "made by root" else None,
        threads=2,
    )


def options(box: Sandbox) -> Iterator[tuple[str, ...]]:
    """The options before `--`, each with its arguments."""
    words = iter(bubblewrap_command(box, ["program", "argument"]))
    assert next(words) == "bwrap"
    for word in words:
        if word == "--":
            return
        count = 0 if word in PLAIN else 2 if word in TWO else 1
        yield (word, *(next(words) for _ in range(count)))
    raise AssertionError("the program is not set off by --")


def behind(box: Sandbox) -> list[str]:
    words = bubblewrap_command(box, ["program", "argument"])
    return words[words.index("--") + 1 :]


def test_only_listed_paths_are_mounted(box: Sandbox, tmp_path: Path) -> None:
    sources = {Path(source) for option, source, _ in (o for o in options(box) if o[0] in READ_ONLY)}
    in_folder = {path for path in sources if path.is_relative_to(tmp_path)}
    assert in_folder == {
        tmp_path / "state/slots/s1/passwd",
        tmp_path / "state/slots/s1/group",
        tmp_path / "images/cpu",
        tmp_path / "base",
        tmp_path / "package/__init__.py",
        tmp_path / "package/instance",
        tmp_path / "ex",
    }
    system = {Path(path) for path in (*sandbox.SYSTEM, *sandbox.SYSTEM_LINKS, *sandbox.ETC, "/dev/null")}
    assert sources - in_folder <= system


def test_no_folder_with_state_or_a_home_is_mounted(box: Sandbox) -> None:
    for option, source, _ in (o for o in options(box) if o[0] in READ_ONLY):
        for secret in (box.folder, box.folder.parent, box.folder.parent.parent / "secrets", Path.home(), Path("/proc")):
            assert not secret.is_relative_to(source), f"{option} {source}"


def test_the_machines_paths_are_mounted_read_only(box: Sandbox) -> None:
    used = {option[0] for option in options(box)}
    assert not used & {
        "--bind",
        "--bind-try",
        "--dev-bind",
        "--dev-bind-try",
        "--bind-fd",
        "--share-net",
        "--bind-data",
    }
    assert not used & {"--overlay", "--tmp-overlay", "--mqueue", "--lock-file", "--unshare-all", "--disable-userns"}


def test_writable_mounts_have_a_size_and_are_empty(box: Sandbox) -> None:
    found = {}
    for before, size, mount in zip(*(list(options(box))[skip:] for skip in (0, 1, 2)), strict=False):
        if mount[0] == "--tmpfs":
            assert (before[0], size[0]) == ("--perms", "--size")
            found[mount[1]] = (before[1], int(size[1]))
    assert found == {
        "/dev/shm": ("1777", box.sizes.shared_memory),
        "/tmp": ("1777", box.sizes.temporary),
        "/mnt/jupyter": ("0777", box.sizes.runtime),
        sandbox.HOME: ("0777", box.sizes.home),
        sandbox.WORKSPACE: ("0777", DISK),
    }


def test_the_root_becomes_read_only_after_all_mounts(box: Sandbox) -> None:
    given = list(options(box))
    kinds = [option[0] for option in given]
    last_mount = max(index for index, kind in enumerate(kinds) if kind in {*READ_ONLY, "--tmpfs", "--dir", "--symlink"})
    assert given.index(("--remount-ro", "/")) > last_mount
    assert given.index(("--remount-ro", "/dev")) > last_mount


def test_an_instance_has_namespaces_of_its_own_and_dies_with_its_keeper(box: Sandbox) -> None:
    used = {option[0] for option in options(box)}
    assert {"--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent", "--new-session"} <= used
    assert ("--cap-drop", "ALL") in list(options(box))


def test_only_the_image_and_names_are_in_the_environment(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATORS_TOKEN", "hunter2")
    given = list(options(box))
    assert ("--clearenv",) in given
    names = {option[1] for option in given if option[0] == "--setenv"}
    assert names == set(sandbox.variables(box))
    assert thread_variables(box.threads).items() <= sandbox.variables(box).items()
    assert "hunter2" not in str(given)
    assert not {name for name in names if name.startswith(("JUPYTERHUB_", "FREEPOOL_"))}


def test_the_program_becomes_a_user_of_its_own(box: Sandbox) -> None:
    given = list(options(box))
    added = {option[1] for option in given if option[0] == "--cap-add"}
    if box.run_as is None:
        assert {("--unshare-user",), ("--uid", "1000"), ("--gid", "1000")} <= set(given)
        assert not added
        assert behind(box) == ["program", "argument"]
    else:
        assert ("--unshare-user",) not in given
        assert added == {"CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"}
        assert given.index(("--cap-drop", "ALL")) < given.index(("--cap-add", "CAP_SETUID"))
        *dropping, mark, program, argument = behind(box)
        assert (mark, program, argument) == ("--", "program", "argument")
        assert dropping[0] == "setpriv"
        assert {
            f"--reuid={box.run_as}", f"--regid={box.run_as}", "--clear-groups", "--bounding-set=-all",
            "--inh-caps=-all", "--no-new-privs",
        } == set(dropping[1:])  # fmt: skip


def test_the_command_line_has_no_secrets(box: Sandbox) -> None:
    words = bubblewrap_command(box, sandbox.agent_command(box.environment))
    assert "{orders}" in words, "orders arrive through a descriptor"
    assert not [word for word in words if "key" in word.lower() and word != "--new-session"]


def test_a_system_python_adds_no_other_folder(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/usr/bin/env")
    assert sandbox.environment_prefixes(tmp_path) == (tmp_path.resolve(),)


def test_the_interpreter_is_the_images_own_link(box: Sandbox) -> None:
    assert sandbox.python_of(box.environment) == str(box.environment / "bin" / "python")


@pytest.mark.parametrize(("run_as", "number"), [(None, 1000), (0x70000001, 0x70000001)])
def test_the_user_has_a_name_and_root_has_no_home(run_as: int | None, number: int) -> None:
    files = sandbox.passwd_files(run_as)
    assert f"freepool:x:{number}:{number}::/home/freepool:/bin/bash\n" in files["passwd"]
    assert files["passwd"].startswith("root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n")
    assert files["group"] == f"root:x:0:\nfreepool:x:{number}:\n"


def test_kernels_use_private_sockets() -> None:
    assert "--KernelManager.transport=ipc" in server_arguments("/w")


def test_the_debugger_is_hidden(box: Sandbox) -> None:
    server = box.environment / "lib" / "python3.11" / "site-packages" / "debugpy" / "server"
    server.mkdir(parents=True)
    given = list(options(box))
    place = given.index(("--tmpfs", str(server)))
    assert given[place + 1] == ("--remount-ro", str(server))
    assert place > max(index for index, option in enumerate(given) if str(box.environment) == option[-1])
