"""Installs what a lock pins into an environment, with uv, and prints how far it is.

Usage: packages.py NAME ENVIRONMENT LOCK [PACKAGE…]. Runs with the Python of `.uv`, which has uv and pip.

uv knows nothing of pip's settings (index, certificates, proxies), and pip's are what a machine is set up with, so they
are handed on. Variables of uv's own (UV_DEFAULT_INDEX and others) win. TORCH_INDEX names one more index, or a folder of
wheels.
"""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

SAY_SECONDS = 5
"""Between two lines about the same download."""
SETTING = re.compile(r"(?:global|install|:env:)\.\.?([a-z-]+)=('.*'|\".*\")")
DOWNLOADING = re.compile(r"\s*Downloading (\S+) \(([\d.]+)([KMG]iB)\)")
COUNTED = re.compile(r"Resolved (\d+) packages?")
INSTALLED = re.compile(r"Installed (\d+) packages?")
DOWNLOADED = re.compile(r"\s*Downloaded (\S+)")
MB = {"KiB": 1024 / 1e6, "MiB": 1024**2 / 1e6, "GiB": 1024**3 / 1e6}
VARIABLES = {
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "retries": "UV_HTTP_RETRIES",
}
"""Settings of pip's that uv takes as variables."""
OPTIONS = {
    "index-url": ("--default-index", "UV_DEFAULT_INDEX"),
    "extra-index-url": ("--index", "UV_INDEX"),
    "find-links": ("--find-links", "UV_FIND_LINKS"),
    "trusted-host": ("--allow-insecure-host", "UV_INSECURE_HOST"),
}
"""Settings of pip's that uv takes as options, and the variable of uv's that wins."""
TOO_STRICT = frozenset({"rapidocr-onnxruntime"})
"""Declares Python below 3.13 and works above. pip can be told to ignore that, uv cannot."""


def pip_settings(listing: str) -> dict[str, str]:
    """What `pip config list` printed. The environment wins over `install`, which wins over `global`, as in pip."""
    rank = {":": 2, "i": 1, "g": 0}
    lines = sorted(listing.splitlines(), key=lambda line: rank.get(line[:1], 0))
    return {found[1]: ast.literal_eval(found[2]) for line in lines if (found := SETTING.fullmatch(line))}


def uv_options(settings: Mapping[str, str], environment: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Options and variables that make uv go where pip would go. `environment` is the caller's."""
    options: list[str] = []
    for name, (option, variable) in OPTIONS.items():
        if not environment.get(variable):
            for word in settings.get(name, "").split():
                if name != "find-links" or "://" in word or Path(word).is_dir():
                    options += [option, word]
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        options.append("--no-index")
    torch = environment.get("TORCH_INDEX")
    if torch:
        options += ["--find-links" if Path(torch).is_dir() else "--index", torch]
    # As pip does: any of the indexes may have the version that the lock names.
    options += ["--index-strategy", "unsafe-best-match"]
    variables = {
        variable: settings[name]
        for name, variable in VARIABLES.items()
        if name in settings and variable not in environment
    }
    return options, variables


class Progress:
    """Reads what uv prints and says how far it is."""

    def __init__(self, name: str, *, began: float) -> None:
        self.name = name
        self.began = began
        self.coming: dict[str, float] = {}
        """MB of each large file that is being downloaded, until it is here."""
        self.here = 0.0
        self.packages = 0
        """Those that the lock names for this machine, once uv has looked."""
        self.installed = 0
        """Those that were not there before."""
        self.last_words: list[str] = []
        self._said_at = began
        self._lock = threading.Lock()

    def read(self, line: str) -> None:
        """Take one line of uv's."""
        with self._lock:
            if found := COUNTED.match(line):
                self.packages = int(found[1])
            if found := INSTALLED.match(line):
                self.installed = int(found[1])
            if found := DOWNLOADING.match(line):
                self.coming[found[1]] = float(found[2]) * MB[found[3]]
            elif found := DOWNLOADED.match(line):
                self.here += self.coming.pop(found[1], 0)
            elif line.strip() and not line.startswith((" + ", "Using Python")):
                self.last_words = [*self.last_words, line.rstrip()][-12:]

    def say(self, now: float) -> str | None:
        """A line, if it is time for one."""
        with self._lock:
            if now - self._said_at < SAY_SECONDS:
                return None
            self._said_at = now
            total = self.here + sum(self.coming.values())
            if not total and not self.packages:
                return f"{self.name}: looking up the packages ({now - self.began:.0f} s)"
            if not total:
                return f"{self.name}: unpacking {self.packages} packages ({now - self.began:.0f} s)"
            if not self.coming:
                return f"{self.name}: {total:.0f} MB are here, unpacking ({now - self.began:.0f} s)"
            largest = sorted(self.coming, key=lambda one: -self.coming[one])[:2]
            more = f" and {len(self.coming) - 2} more" if len(self.coming) > 2 else ""
            return (
                f"{self.name}: {self.here:.0f} of {total:.0f} MB downloaded, still coming: "
                f"{', '.join(largest)}{more} ({now - self.began:.0f} s)"
            )


def say(line: str) -> None:
    sys.stdout.write(f"freepool: {line}\n")
    sys.stdout.flush()


def run_uv(command: list[str], variables: Mapping[str, str], progress: Progress) -> int:
    """Run uv to its end while saying how far it is. Returns its exit code."""
    with subprocess.Popen(
        command, env={**os.environ, **variables}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as uv:  # fmt: skip
        assert uv.stderr is not None
        reader = threading.Thread(target=lambda: [progress.read(line) for line in uv.stderr or ()])
        reader.start()
        while reader.is_alive():
            reader.join(0.2)
            if line := progress.say(time.monotonic()):
                say(line)
        return uv.wait()


def lines_of(lock: Path) -> list[str]:
    """The requirements of a lock."""
    return [line for line in lock.read_text().splitlines() if line and not line.startswith("#")]


def name_of(requirement: str) -> str:
    return re.split(r"[=<>;\[ ]", requirement, maxsplit=1)[0]


def main() -> int:
    name, folder, lock, *packages = sys.argv[1:]
    began = time.monotonic()
    python = str(Path(folder) / "bin" / "python")
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    options, variables = uv_options(pip_settings(listing), os.environ)
    wanted = [*lines_of(Path(lock)), *packages]
    for_uv = Path(folder) / "setup.lock"
    for_uv.write_text("".join(f"{line}\n" for line in wanted if name_of(line) not in TOO_STRICT))
    for_pip = [line for line in wanted if name_of(line) in TOO_STRICT]
    progress = Progress(name, began=began)
    uv = [str(Path(sys.executable).parent / "uv"), "pip", "install", "--python", python, "--no-deps", "--no-progress"]
    code = run_uv([*uv, *options, "-r", str(for_uv)], variables, progress)
    if code == 0 and for_pip:
        command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-compile"]
        done = subprocess.run(
            [*command, "--ignore-requires-python", *for_pip], capture_output=True, text=True, check=False
        )
        code, progress.last_words = done.returncode, done.stderr.splitlines()[-12:]
    for_uv.unlink()
    if code:
        sys.stderr.write("".join(f"  {line[:300]}\n" for line in progress.last_words))
        return code
    count = progress.installed + len(for_pip)
    size = f" ({progress.here:.0f} MB downloaded)" if progress.here else ""
    say(f"{name}: {count} packages installed{size}: {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C in make ends all of its programs: no traceback
    sys.exit(main())
