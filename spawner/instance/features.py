"""What every instance gives, on one machine and in a pod. Data; sandbox, pod manifest and agent take theirs.

`FEATURES` is the list as a user would read it. `tests/features/inside.py` has one check for each, which runs inside
an instance; docs/instances.md has the results of the backends side by side.

Standard library only, and pure: `folders.py` makes what this names.
"""

from __future__ import annotations

from dataclasses import dataclass

WORKSPACE = "/mnt/workspace"
RUNTIME = "/mnt/jupyter"
"""Jupyter's runtime files: connection files and sockets of kernels. A file system of its own, so that a full home or
workspace stops no kernel."""
MODELS = "/mnt/models"
"""The platform's model cache, where there is one. Nobody inside can write to it."""
TEMPORARY, SHARED_MEMORY = "/tmp", "/dev/shm"  # noqa: S108  (the instance's own)

NOTEBOOK_PORT = 8888
"""Of the server, where an instance has a network of its own and is handed no socket: a pod."""

MIB = 1024**2
LEAST_SIZE = 256 * MIB
"""Bytes of the home, of /tmp and of shared memory at least."""
RUNTIME_SIZE = 16 * MIB
OPEN_FILES = 65_536
"""The soft limit of open files, where the hard one allows it: dataset loaders and servers need many."""

MOVED = (".cache", ".local")
"""Folders of the home that are links into the workspace: caches of models, and installed packages."""


@dataclass(frozen=True)
class PlaceSizes:
    """Bytes of the places that an instance may write to."""

    workspace: int
    home: int
    temporary: int
    shared_memory: int
    runtime: int = RUNTIME_SIZE

    def by_path(self, home: str) -> dict[str, int]:
        """Bytes by the folder's path; `home` is the backend's."""
        return {
            WORKSPACE: self.workspace,
            home: self.home,
            TEMPORARY: self.temporary,
            SHARED_MEMORY: self.shared_memory,
            RUNTIME: self.runtime,
        }


def place_sizes(*, memory: int, disk: int) -> PlaceSizes:
    """The sizes for a machine type with so many bytes of memory and disk.

    The workspace is the disk; home and /tmp have half of it each, shared memory has half of the memory, and each of
    these at least `LEAST_SIZE`.
    """
    side = max(LEAST_SIZE, disk // 2)
    return PlaceSizes(workspace=disk, home=side, temporary=side, shared_memory=max(LEAST_SIZE, memory // 2))


def thread_variables(count: int) -> dict[str, str]:
    """How many threads numerical libraries start, and that their waiting threads sleep.

    By default libgomp, PyTorch's OpenMP library, lets a waiting thread spin. Where others use the same processors, a
    training loop then takes about ten times as long; on an idle machine of two, a third longer.
    https://gcc.gnu.org/onlinedocs/libgomp/OMP_005fWAIT_005fPOLICY.html
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {**dict.fromkeys(names, str(max(1, count))), "OMP_WAIT_POLICY": "PASSIVE"}


def variables(root: str) -> dict[str, str]:
    """Variables of programs in an instance with the workspace `root`, where nobody has set them already.

    Caches are in the workspace, which is the largest place. Modelscope knows no XDG folder; the others follow it, and
    are named for code that reads their variable only.
    """
    cache = f"{root}/.cache"
    return {
        "LANG": "C.UTF-8",
        "XDG_CACHE_HOME": cache,
        "MODELSCOPE_CACHE": f"{cache}/modelscope",
        "HF_HOME": f"{cache}/huggingface",
        "TORCH_HOME": f"{cache}/torch",
        "PYTHONUSERBASE": f"{root}/.local",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_CACHE_DIR": "1",
    }


def with_scripts(path: str, root: str) -> str:
    """`PATH` with the folder of scripts of installed packages: after the image's own programs, before the system's."""
    scripts, (first, *rest) = f"{root}/.local/bin", path.split(":")
    return ":".join([first, scripts, *(each for each in rest if each != scripts)]) if first != scripts else path


CHINESE_FONTS = (
    ("WenQuanYi Micro Hei", "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc"),
    ("WenQuanYi Zen Hei", "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc"),
    ("Noto Sans CJK JP", "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"),
    ("Noto Sans CJK JP", "/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc"),
    ("Noto Sans SC", "/usr/share/fonts/google-noto-sans-sc-fonts/NotoSansSC-Regular.otf"),
)
"""Names for matplotlib and files, the first that is there is used. In a collection matplotlib sees the first font: of
Noto's it is named after Japanese, and has all Chinese characters."""

EXPORTS = (
    ("PDFExporter", ("xelatex", "pandoc")),
    ("LatexExporter", ("pandoc",)),
    ("RSTExporter", ("pandoc",)),
    ("ASCIIDocExporter", ("pandoc",)),
    ("WebPDFExporter", ("chromium", "playwright")),
    ("QtPDFExporter", ()),
    ("QtPNGExporter", ()),
)
"""nbconvert's formats that need more than Python, and the programs that they need. Without programs: never offered,
because a server has no screen."""


@dataclass(frozen=True)
class Feature:
    """What an instance gives. `id` names its check."""

    id: str
    text: str


FEATURES = (
    Feature("python-packages", "`pip install` works without options, and a running kernel imports what it installs."),
    Feature("scripts-on-path", "Programs of installed packages are found, by kernels and terminals."),
    Feature("pip-target", "`pip install --target` and virtual environments in the workspace work."),
    Feature("jupyter-untouched", "Installed packages are not seen by Jupyter's own server."),
    Feature("caches-in-workspace", "Caches of ModelScope, Hugging Face and PyTorch fill the workspace, not the home."),
    Feature("models", "Libraries find the models of the platform's cache, which is read-only."),
    Feature("room-by-type", "Home, /tmp and shared memory have the size of the machine type."),
    Feature("shared-memory", "Processes share as much memory as the size of shared memory says."),
    Feature("full-disk", "A kernel starts while home and workspace are full."),
    Feature("no-core-dumps", "A crashed program leaves no memory dump that fills the workspace."),
    Feature("open-files", "At least 4096 files may be open at once."),
    Feature("chinese-in-plots", "matplotlib draws Chinese without a setting."),
    Feature("exports", "Every format that JupyterLab offers for download can be made."),
    Feature("modelscope", "`import modelscope` works in every image."),
    Feature("locale", "Text is UTF-8, and Python, the shell and file names agree on it."),
    Feature("time-zone", "`TZ` chooses a time zone; the zones' data is there."),
    Feature("certificates", "Python and curl have certificates of public authorities."),
    Feature("mirrors", "pip and npm use the operator's mirrors (`environment` in the catalog)."),
    Feature("git", "git works in the workspace, and Git LFS is there."),
    Feature("gpu", "Where there is a GPU, nvidia-smi shows it."),
)
"""What every instance gives."""
