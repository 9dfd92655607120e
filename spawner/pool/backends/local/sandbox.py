"""The command line of one sandbox.

The instance gets its own user, process, mount, IPC and host-name namespaces. It sees the system's programs and its
image read-only, and can write only to sized tmpfs mounts, which end with it. So "wiped" needs no deletion of files.

The keeper makes the slot's network namespace (`namespace.py`) and starts bubblewrap in it. Kernels use sockets in the
private file system (`transport=ipc`), because not every machine can give each slot a network namespace.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spawner.instance.features import MODELS, RUNTIME, WORKSPACE, PlaceSizes, thread_variables

HOME = "/home/freepool"
PACKAGE = "/opt/freepool"
EXAMPLES = "/opt/examples"
USER = "freepool"
USER_ID = 1000
"""User id inside the sandbox, where it has its own user namespace."""
SYSTEM = ("/usr", "/opt/conda")
SYSTEM_LINKS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
ETC = (
    "/etc/alternatives", "/etc/ca-certificates", "/etc/fonts", "/etc/hosts", "/etc/ld.so.cache", "/etc/localtime",
    "/etc/mime.types", "/etc/nsswitch.conf", "/etc/pki", "/etc/resolv.conf", "/etc/ssl", "/etc/timezone",
)  # fmt: skip
RESOLVER = "/etc/resolv.conf"
HIDDEN = ("/usr/bin/node", "/usr/bin/npm", "/usr/local/bin/node", "/usr/local/bin/npm")
"""JupyterLab and its language-server extension run these at each start if they exist, which costs 0.3 s."""

PYVENV = "pyvenv.cfg"
DEBUGGER = "lib/python3*/site-packages/debugpy/server"
"""Hidden, so that kernels offer no debugger: it would listen on the shared loopback interface, and after its user has
closed it, accept commands from any other instance."""
OUTSIDE_PACKAGES = ("lib/python3*/site-packages", "lib/python3*/dist-packages", "local/lib/python3*/dist-packages")
"""Packages of the Python that an image's environment is made from, below its prefix. Hidden: see `pyvenv_file`."""


@dataclass(frozen=True)
class Sandbox:
    """The parts of one sandbox. `run_as` is a real user id where root creates the sandbox."""

    environment: Path
    package: Path
    examples: Path
    folder: Path
    sizes: PlaceSizes
    run_as: int | None
    threads: int
    nested_namespaces: bool = True
    """False: forbid user namespaces inside by bubblewrap, too, beside the filter. Needs bubblewrap 0.8."""
    own_network: bool = False
    """The slot has a network namespace, and so a resolver of its own (`resolv.conf` in its folder)."""
    models: Path | None = None
    """The model cache, for all instances; None: there is none."""


def environment_prefixes(environment: Path) -> tuple[Path, ...]:
    """Folders outside the system that the image's Python needs: its environment and its base installation."""
    found = [environment.resolve()]
    python = (environment / "bin" / "python").resolve()
    prefix = python.parent.parent
    if not prefix.is_relative_to("/usr"):
        found.append(prefix)
    return tuple(found)


def outside_packages(environment: Path) -> list[Path]:
    """Existing folders of packages that are not the environment's, in the prefix of its Python."""
    own = environment.resolve()
    prefix = (environment / "bin" / "python").resolve().parent.parent
    found = (path for pattern in OUTSIDE_PACKAGES for path in sorted(prefix.glob(pattern)))
    return [path for path in found if path.is_dir() and not path.resolve().is_relative_to(own)]


def pyvenv_file(environment: Path) -> str:
    """The environment's pyvenv.cfg as an instance sees it; empty where it has none.

    Python looks for a user's own packages, and pip installs them, only if the environment also sees the packages of
    the Python that it is made from.
    """
    try:
        lines = (environment / PYVENV).read_text().splitlines()
    except OSError:
        return ""
    kept = [line for line in lines if not line.startswith("include-system-site-packages")]
    return "\n".join([*kept, "include-system-site-packages = true", ""])


def python_of(environment: Path) -> str:
    """Path of an image's interpreter. Not resolved: Python finds the environment by the link."""
    return str(environment.resolve() / "bin" / "python")


def agent_command(environment: Path) -> list[str]:
    """The command inside the sandbox. `{orders}` is replaced by the file descriptor of the agent's orders."""
    return [python_of(environment), "-m", "spawner.instance.agent", "{orders}"]


def variables(sandbox: Sandbox) -> dict[str, str]:
    """The complete environment of an instance before its claim, without any of the platform's variables."""
    return {
        "PATH": f"{sandbox.environment.resolve() / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        "HOME": HOME,
        "USER": USER,
        "LOGNAME": USER,
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "TMPDIR": "/tmp",  # noqa: S108  (the sandbox's own)
        "PYTHONPATH": PACKAGE,
        "JUPYTER_RUNTIME_DIR": RUNTIME,
        **thread_variables(sandbox.threads),
    }


def bubblewrap_command(sandbox: Sandbox, program: Sequence[str]) -> list[str]:
    """The full `bwrap …` command line. The keeper replaces `{info}` and `{filter}` by descriptors: of bubblewrap's
    report and of the system call filter."""
    return [
        "bwrap",
        *_namespaces(sandbox),
        *_files(sandbox),
        *_variables(sandbox),
        "--",
        *_identity(sandbox),
        *program,
    ]


def _namespaces(sandbox: Sandbox) -> Iterator[str]:
    yield from ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
    yield from ("--die-with-parent", "--new-session", "--info-fd", "{info}", "--hostname", "notebook")
    yield from ("--seccomp", "{filter}")
    if sandbox.run_as is None:
        yield from ("--unshare-user", "--uid", str(USER_ID), "--gid", str(USER_ID), "--cap-drop", "ALL")
        if not sandbox.nested_namespaces:
            yield "--disable-userns"
    else:
        # Root mounts with its own rights, so that the parent folders of the image may stay private, and then changes
        # to a unique user id. setpriv needs these three capabilities for that, and drops them with the others.
        yield from ("--cap-drop", "ALL")
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
            yield from ("--cap-add", capability)


def _identity(sandbox: Sandbox) -> list[str]:
    if sandbox.run_as is None:
        return []
    who = str(sandbox.run_as)
    return [
        "setpriv", f"--reuid={who}", f"--regid={who}", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all",
        "--no-new-privs", "--",
    ]  # fmt: skip


@cache
def can_forbid_user_namespaces() -> bool:
    """Whether this machine's bubblewrap has `--disable-userns`."""
    try:
        said = subprocess.run(["bwrap", "--help"], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    return "--disable-userns" in said


def _files(sandbox: Sandbox) -> Iterator[str]:
    for path in SYSTEM:
        yield from ("--ro-bind-try", path, path)
    for path in SYSTEM_LINKS:
        if Path(path).is_symlink():
            yield from ("--symlink", str(Path(path).readlink()), path)
        else:
            yield from ("--ro-bind-try", path, path)
    # bubblewrap creates parent folders for root only; the user could not read these.
    yield from ("--perms", "0755", "--dir", "/etc")
    for path in ETC:
        source = str(sandbox.folder / "resolv.conf") if path == RESOLVER and sandbox.own_network else path
        yield from ("--ro-bind-try", source, path)
    for path in HIDDEN:
        if Path(path).exists():
            yield from ("--ro-bind", "/dev/null", path)
    yield from ("--ro-bind", str(sandbox.folder / "passwd"), "/etc/passwd")
    yield from ("--ro-bind", str(sandbox.folder / "group"), "/etc/group")
    yield from ("--proc", "/proc", "--dev", "/dev")
    # Files in them are memory, and count against its limit.
    for path, size in sandbox.sizes.by_path(HOME).items():
        yield from _writable(path, size, "0777" if path in (HOME, WORKSPACE, RUNTIME) else "1777")
    # After the writable mounts, which would hide an installation below one of them.
    for prefix in environment_prefixes(sandbox.environment):
        yield from _read_only(prefix, prefix)
    if (sandbox.environment / PYVENV).exists():
        yield from ("--ro-bind", str(sandbox.folder / PYVENV), str(sandbox.environment.resolve() / PYVENV))
    for hidden in (*outside_packages(sandbox.environment), *sandbox.environment.resolve().glob(DEBUGGER)):
        yield from ("--tmpfs", str(hidden), "--remount-ro", str(hidden))
    yield from _read_only(sandbox.package / "__init__.py", Path(PACKAGE) / "spawner" / "__init__.py")
    yield from _read_only(sandbox.package / "instance", Path(PACKAGE) / "spawner" / "instance")
    yield from _read_only(sandbox.examples, Path(EXAMPLES))
    if sandbox.models is not None:
        yield from _read_only(sandbox.models, Path(MODELS))
    # bubblewrap's root tmpfs has no size limit, so it is read-only.
    yield from ("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", WORKSPACE)


def _read_only(source: Path, target: Path) -> Iterator[str]:
    for parent in reversed(target.parents[:-1]):
        yield from ("--perms", "0755", "--dir", str(parent))
    yield from ("--ro-bind", str(source), str(target))


def _writable(target: str, size: int, permissions: str) -> Iterator[str]:
    for parent in reversed(Path(target).parents[:-1]):
        yield from ("--perms", "0755", "--dir", str(parent))
    yield from ("--perms", permissions, "--size", str(size), "--tmpfs", target)


def _variables(sandbox: Sandbox) -> Iterator[str]:
    yield "--clearenv"
    for name, value in variables(sandbox).items():
        yield from ("--setenv", name, value)


def passwd_files(run_as: int | None) -> dict[str, str]:
    """/etc/passwd and /etc/group, which name the instance's user."""
    number = USER_ID if run_as is None else run_as
    return {
        "passwd": f"root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n{USER}:x:{number}:{number}::{HOME}:/bin/bash\n",
        "group": f"root:x:0:\n{USER}:x:{number}:\n",
    }


def package_folder() -> Path:
    """The folder of the `spawner` package. Instances see only its `instance` part."""
    return Path(sys.modules["spawner"].__path__[0])
