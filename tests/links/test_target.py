"""What an open link may name, which addresses are refused, and which machine types serve it."""

from __future__ import annotations

import pytest

from spawner.errors import BadOption
from spawner.links.hoster_pages import of_page
from spawner.links.machine_types import Fit, Offer, best, fit_of
from spawner.links.nbgitpuller import of_git_pull
from spawner.links.target import Kind, read_target
from spawner.pool.fits import Resources

GIT = "https://github.com/ada/work"
RAW = "https://raw.githubusercontent.com/ada/work/main/a.ipynb"
GROUP = "https://gitlab.com/g/s/r"


def test_a_link_is_read_and_written_the_same() -> None:
    query = {"git": "https://GitHub.com:443/ada/work/", "ref": "v1/组", "path": "a b/c.ipynb", "utm": "x"}
    target = read_target(query)
    assert target is not None
    assert (target.kind, target.git, target.host, target.repository) == (Kind.GIT, GIT, "github.com", "ada/work")
    assert target.query == "git=https%3A//github.com/ada/work&ref=v1/%E7%BB%84&path=a%20b/c.ipynb"
    example, file = read_target({"example": "ocr"}), read_target({"url": RAW})
    assert example is not None
    assert (example.kind, example.address) == (Kind.EXAMPLE, "")
    assert file is not None
    assert (file.kind, file.file) == (Kind.FILE, "a.ipynb")
    assert read_target({"ref": "main"}) is read_target({"git": ""}) is None


@pytest.mark.parametrize(
    "address",
    [
        "http://github.com/a/b", "file:///etc/passwd", "ext::sh -c id", "ssh://git@github.com/a/b", "git://h.org/a",
        "git@github.com:a/b.git", "https:///a/b", "//github.com/a/b", "HTTPS://github.com/a/b", " https://h.org/a",
        "https://127.0.0.1/a/b", "https://2130706433/a/b", "https://0x7f.1/a/b", "https://0x7f000001/a", "https://[::1]/a",
        "https://[::ffff:10.0.0.1]/a/b", "https://169.254.169.254/latest", "https://localhost/a/b", "https://hub/a/b",
        "https://github.com:8443/a/b", "https://github.com:x/a/b", "https://github.com.:443/a/b", "https://h.org",
        "https://u@github.com/a/b", "https://u:p@github.com/a/b", "https://@github.com/a", "https://github.com\\@h.org/a",
        "https://github.com/a/b?x=1", "https://github.com/a/b?", "https://github.com/a/b#x", "https://h.org/a\nb",
        "https://h.org/a%0ab", "https://h.org/%1b[2J", "https://h.org/a/%2e%2e/b", "https://gïthub.com/a/b",
        "https://h.org/" + "a" * 500, "--upload-pack=id",
    ],
)  # fmt: skip
def test_an_address_that_is_no_public_servers_is_refused(address: str) -> None:
    with pytest.raises(BadOption):
        read_target({"git": address})


def test_an_operator_may_allow_a_host_that_is_not_public() -> None:
    address = "https://localhost:8443/a/b"
    found = read_target({"git": address}, hosts=("localhost:8443",))
    assert found is not None
    assert found.git == address
    with pytest.raises(BadOption):
        read_target({"git": "https://localhost/a/b"}, hosts=("localhost:8443",))


@pytest.mark.parametrize(
    "changes",
    [
        *({"ref": ref} for ref in ("-x", "a..b", "a b", "a~1", "a:b", "@{1}", "a.lock", "a/", ".a", "a\x07", "a\\b")),
        *({"path": path} for path in ("/etc/passwd", "../x", "a/../b", "a//b", ".git/config", "a/.GIT/x", "a\x1bb")),
        {"path": "a\\b"},
        {"path": "a/" * 300 + "b"},
        {"example": "ocr"},
        {"url": RAW},
    ],
)
def test_a_ref_or_path_that_means_something_else_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(BadOption):
        read_target({"git": GIT, **changes})


@pytest.mark.parametrize("url", ["https://h.org/a.py", "https://h.org/a.ipynb?x", "http://h.org/a.ipynb"])
def test_only_a_notebook_file_is_opened_by_its_address(url: str) -> None:
    with pytest.raises(BadOption):
        read_target({"url": url})


@pytest.mark.parametrize("place", ["lab/tree/work/d/a.ipynb", "tree/work/d/a.ipynb", "notebooks/work/d/a.ipynb"])
def test_a_link_of_nbgitpuller_becomes_ours(place: str) -> None:
    query = of_git_pull({"repo": f"{GIT}.git", "branch": "main", "urlpath": f"{place}?autodecode"})
    assert query == {"git": f"{GIT}.git", "ref": "main", "path": "d/a.ipynb"}
    assert of_git_pull({"repo": GIT, "urlpath": "lab/tree/work/"}) == {"git": GIT}
    assert of_git_pull({"repo": GIT, "urlpath": "lab"}) == {"git": GIT}


def offer(name: str, has: dict[str, int] | None = None, **changes: object) -> Offer:
    given = Resources(**{"memory": 4, "seconds": 100} | (has or {}))
    fields = {"available": 1, "can_queue": True} | changes
    return Offer(name, given, **fields)  # type: ignore[arg-type]


def test_what_does_not_serve_is_never_chosen_and_what_is_free_comes_first() -> None:
    needs, large = Resources(memory=8, seconds=50), {"memory": 8}
    small, short = offer("small"), offer("short", has={"memory": 8, "seconds": 10})
    closed = offer("closed", has=large, available=0, can_queue=False)
    busy, free = offer("busy", has=large, available=0, wait_seconds=60), offer("free", has={"memory": 16})
    gpu = offer("gpu", has={"memory": 8, "gpu_memory": 24})
    fits = [fit_of(one, needs) for one in (small, short, closed, busy, free)]
    assert fits == [Fit.LACKING, Fit.LACKING, Fit.CLOSED, Fit.QUEUE, Fit.NOW]
    assert best([small, short, closed], needs, "small") is None
    assert best([small, busy, free, gpu], needs, "busy") == "free"
    assert best([busy, offer("slow", has=large, available=0)], needs, "small") == "busy"
    assert best([free, gpu], needs, "gpu") == "gpu"


@pytest.mark.parametrize(
    ("address", "query"),
    [
        (f"{GIT}/blob/main/d/a%20b.ipynb", {"git": GIT, "ref": "main", "path": "d/a b.ipynb"}),
        (f"{GROUP}/-/blob/v1/a.ipynb", {"git": GROUP, "ref": "v1", "path": "a.ipynb"}),
        ("https://codeberg.org/a/b/src/branch/x/a.md", {"git": "https://codeberg.org/a/b", "ref": "x", "path": "a.md"}),
        (f"{GIT}/tree/dev", {"git": GIT, "ref": "dev", "path": ""}),
        (f" {GIT}/ ", {"git": GIT}),
        (RAW, {"url": RAW}),
    ],
)
def test_the_address_of_a_page_becomes_a_link(address: str, query: dict[str, str]) -> None:
    assert of_page(address) == query
