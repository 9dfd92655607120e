"""The checklist of `spawner/instance/features.py`, run inside an instance by a program that a kernel has started.

    python inside.py ROOM [ID…]      ROOM: JSON, bytes by folder

Prints one JSON object a line: `{"id", "result", "detail", "seconds"}`; the result is `works`, `fails`, or `not here`
where the machine has nothing to try it with. Standard library only: it is copied into instances.
"""

from __future__ import annotations

import http.server
import importlib
import json
import locale
import os
import resource
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

WORKSPACE = Path("/mnt/workspace")
MIB = 1024**2
CHECKS: dict[str, Callable[[], str]] = {}


class NotHereError(Exception):
    """This machine or image has nothing to try it with."""


def check(name: str) -> Callable[[Callable[[], str]], Callable[[], str]]:
    def add(function: Callable[[], str]) -> Callable[[], str]:
        CHECKS[name] = function
        return function

    return add


def run(*command: str, **variables: str) -> str:
    """What a command prints. Raises `AssertionError` with its last words where it fails."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **variables}, timeout=120
    )
    assert done.returncode == 0, f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-300:]}"
    return done.stdout.strip()


def pip(*arguments: str, **variables: str) -> str:
    return run(sys.executable, "-m", "pip", *arguments, **variables)


def wheel(folder: Path, name: str) -> Path:
    """A small package with a program of the same name."""
    folder.mkdir(parents=True, exist_ok=True)
    path, info = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "ANSWER = 42\n\ndef main():\n    print(ANSWER)\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{name} = {name}:main\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def fill(folder: Path, *, most: int = 1 << 62) -> Path:
    """A file that leaves no room, or has `most` bytes."""
    filler, size = folder / "filler", 0
    with filler.open("wb", buffering=0) as stream:
        try:
            while size < most:
                size += stream.write(b"x" * min(MIB, most - size))
        except OSError:
            while stream.write(b"x" * 512) if _has_room(folder) else 0:
                pass
    return filler


def _has_room(folder: Path) -> bool:
    return os.statvfs(folder).f_bavail > 0


def kernel_starts() -> str:
    """Run a line in a new kernel, whose connection file is where Jupyter Server puts it."""
    code = (
        "import os\n"
        "from jupyter_client.manager import KernelManager\n"
        "from jupyter_core.paths import jupyter_runtime_dir\n"
        "manager = KernelManager(connection_file=os.path.join(jupyter_runtime_dir(), 'kernel.json'))\n"
        "manager.start_kernel()\n"
        "client = manager.blocking_client()\n"
        "client.start_channels()\n"
        "client.wait_for_ready(timeout=60)\n"
        "said = lambda message: print(message['content'].get('text', ''))\n"
        "client.execute_interactive('print(6 * 7)', timeout=60, output_hook=said)\n"
        "client.stop_channels()\n"
        "manager.shutdown_kernel(now=True)\n"
    )
    out = run(sys.executable, "-c", code)
    assert "42" in out, out
    return "a kernel starts"


@check("python-packages")
def python_packages() -> str:
    pip("install", "-q", "--no-index", str(wheel(WORKSPACE / "wheels", "fp_plain")))
    module = importlib.import_module("fp_plain")
    assert module.ANSWER == 42
    return str(Path(str(module.__file__)).parent)


@check("scripts-on-path")
def scripts_on_path() -> str:
    assert run("fp_plain") == run("bash", "-c", "fp_plain") == "42"
    return str(shutil.which("fp_plain"))


@check("pip-target")
def pip_target() -> str:
    made = wheel(WORKSPACE / "wheels", "fp_target")
    pip("install", "-q", "--no-index", "--target", str(WORKSPACE / "vendor"), str(made))
    assert (WORKSPACE / "vendor/fp_target.py").exists()
    run(sys.executable, "-m", "venv", "--without-pip", str(WORKSPACE / "venv"))
    assert run(str(WORKSPACE / "venv/bin/python"), "-c", "import sys; print(sys.prefix)") == str(WORKSPACE / "venv")
    shutil.rmtree(WORKSPACE / "venv")
    return "a folder and a virtual environment"


@check("jupyter-untouched")
def jupyter_untouched() -> str:
    process = os.getpid()
    while process > 1:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        if b"spawner.instance.agent" in words:
            break
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    assert process > 1, "the server is not among the parents"
    names = {one.split(b"=")[0] for one in Path(f"/proc/{process}/environ").read_bytes().split(b"\0")}
    assert b"PYTHONUSERBASE" not in names
    return "its packages are the image's alone"


@check("caches-in-workspace")
def caches_in_workspace() -> str:
    for name in ("XDG_CACHE_HOME", "MODELSCOPE_CACHE", "HF_HOME", "TORCH_HOME"):
        assert Path(os.environ[name]).resolve().is_relative_to(WORKSPACE), name
    for path in ("~/.cache/modelscope", "~/.cache/huggingface/hub", "~/.cache/torch/hub"):
        folder = Path(path).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        assert folder.resolve().is_relative_to(WORKSPACE), path
    return str(Path("~/.cache").expanduser().resolve())


def can_write(path: Path) -> bool:
    try:
        path.open("ab").close()
    except OSError:
        return False
    return True


@check("models")
def models() -> str:
    store = Path("/mnt/models")
    if not store.is_dir():
        raise NotHereError("no model cache here")
    for path in (store / "mine", *store.glob("*/current/files/config.json")):
        assert not can_write(path), f"{path} can be written"
    assert os.statvfs(store).f_flag & os.ST_RDONLY, "mounted writable"
    found = []
    for path in store.glob("*/current/model.json"):
        manifest = json.loads(path.read_text())
        if "modelscope" in manifest["libraries"]:
            where = run(
                sys.executable, "-c", "import sys; from modelscope import snapshot_download;"
                "print(snapshot_download(sys.argv[1], local_files_only=True))", manifest["repository"],
            ).splitlines()[-1]  # fmt: skip
            for one in manifest["files"]:
                assert (Path(where) / one["path"]).resolve().is_relative_to(store), one["path"]
            found.append(manifest["repository"])
    return ", ".join(found) or "empty"


@check("room-by-type")
def room_by_type() -> str:
    wanted = json.loads(sys.argv[1])
    found = {path: os.statvfs(path).f_blocks * os.statvfs(path).f_frsize for path in wanted}
    on_disk = {line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2] != "tmpfs"}
    # In a pod the kubelet watches over the size of folders on the node's disk; only tmpfs shows it.
    wrong = {path: found[path] for path, size in wanted.items() if path not in on_disk and found[path] != size}
    assert not wrong, f"{wrong} and not {wanted}"
    return ", ".join(f"{path} {size // MIB} MiB" for path, size in wanted.items())


@check("shared-memory")
def shared_memory() -> str:
    size = json.loads(sys.argv[1])["/dev/shm"] * 9 // 10
    filler = fill(Path("/dev/shm"), most=size)
    got = filler.stat().st_size
    filler.unlink()
    assert got == size, f"{got // MIB} of {size // MIB} MiB"
    return f"{got // MIB} MiB"


@check("full-disk")
def full_disk() -> str:
    wanted = json.loads(sys.argv[1])
    folders = [Path.home(), WORKSPACE]
    if any(os.statvfs(each).f_blocks * os.statvfs(each).f_frsize > 2 * wanted[str(each)] for each in folders):
        raise NotHereError("on a node's disk: the kubelet ends a pod that exceeds it")
    fillers = [fill(each) for each in folders]
    try:
        return kernel_starts()
    finally:
        for each in fillers:
            each.unlink()


@check("no-core-dumps")
def no_core_dumps() -> str:
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
    return "limit 0"


@check("open-files")
def open_files() -> str:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert soft >= 4096, soft
    return str(soft)


@check("chinese-in-plots")
def chinese_in_plots() -> str:
    said = run(
        sys.executable, "-W", "always", "-c",
        "import io, warnings, matplotlib; matplotlib.use('agg')\n"
        "import matplotlib.pyplot as plt\n"
        "with warnings.catch_warnings(record=True) as seen:\n"
        "    plt.title('中文字体：魔搭社区 -1'); plt.plot([-1, 1]); plt.savefig(io.BytesIO())\n"
        "print([str(one.message) for one in seen if 'Glyph' in str(one.message) or 'font' in str(one.message)])\n"
        "print(matplotlib.rcParams['font.family'])\n",
    )  # fmt: skip
    missing, family = said.splitlines()[-2:]
    assert missing == "[]", missing[:200]
    return family


@check("modelscope")
def modelscope() -> str:
    return run(
        sys.executable, "-c", "import modelscope; from modelscope.hub.snapshot_download import snapshot_download;"
        "print(modelscope.__version__)",
    ).splitlines()[-1]  # fmt: skip


@check("locale")
def check_locale() -> str:
    assert sys.getfilesystemencoding() == "utf-8"
    assert locale.getpreferredencoding().lower() in ("utf-8", "utf8")
    (WORKSPACE / "文件名.txt").write_text("内容")
    assert "文件名.txt" in run("bash", "-c", "ls /mnt/workspace")
    (WORKSPACE / "文件名.txt").unlink()
    return os.environ["LANG"]


@check("time-zone")
def time_zone() -> str:
    assert run("date", "+%z", TZ="Asia/Shanghai") == "+0800"
    assert datetime.now(ZoneInfo("Asia/Shanghai")).utcoffset() == timedelta(hours=8)
    return f"by default {run('date', '+%Z')}"


@check("certificates")
def certificates() -> str:
    known = ssl.create_default_context().cert_store_stats()["x509_ca"]
    paths = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
    assert known > 50 or Path(ssl.get_default_verify_paths().capath or "").is_dir(), known
    assert any(Path(path).exists() for path in paths), "curl and git look for a bundle"
    return f"{known} authorities"


@check("mirrors")
def mirrors() -> str:
    page = tempfile.mkdtemp(dir=WORKSPACE)
    made = wheel(Path(page) / "simple/fp-mirror", "fp_mirror")
    (made.parent / "index.html").write_text(f'<a href="{made.name}">{made.name}</a>')

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **{**options, "directory": page})  # type: ignore[arg-type]

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/simple"
    pip("install", "-q", "fp-mirror", PIP_INDEX_URL=address, PIP_TRUSTED_HOST="127.0.0.1", no_proxy="127.0.0.1")
    server.shutdown()
    shutil.rmtree(page)
    assert run("fp_mirror") == "42"
    return "pip" if shutil.which("npm") is None else f"pip; npm: {run('npm', 'config', 'get', 'registry')}"


@check("git")
def git() -> str:
    where = WORKSPACE / "repository"
    run("git", "init", "-q", str(where))
    (where / "a").write_text("a")
    run("git", "-C", str(where), "add", "a")
    run("git", "-C", str(where), "-c", "user.name=me", "-c", "user.email=me@example.org", "commit", "-qm", "one")
    shutil.rmtree(where)
    lfs = subprocess.run(["git", "lfs", "version"], capture_output=True, text=True, check=False)
    assert lfs.returncode == 0, "git works; Git LFS is not installed"
    return f"{run('git', '--version')}; {lfs.stdout.split()[0]}"


@check("gpu")
def gpu() -> str:
    if not list(Path("/dev").glob("nvidia[0-9]*")):
        raise NotHereError("no GPU")
    return run("nvidia-smi", "-L")


def main() -> None:
    """Run the checks that are named, or all, in their order."""
    os.chdir(WORKSPACE)
    for name in sys.argv[2:] or CHECKS:
        began = time.monotonic()
        try:
            result, detail = "works", CHECKS[name]()
        except NotHereError as error:
            result, detail = "not here", str(error)
        except BaseException as error:
            result, detail = "fails", f"{type(error).__name__}: {error}"
        seconds = round(time.monotonic() - began, 1)
        print(json.dumps({"id": name, "result": result, "detail": detail, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
