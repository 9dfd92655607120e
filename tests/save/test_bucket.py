"""Uploads to moto's S3, which checks that requests are well formed; and refusals in the store's own codes."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from spawner.instance.save.bucket import upload
from spawner.instance.save.s3 import Bucket, StoreRefused
from spawner.instance.save.signing import Keys

KEYS = Keys("AKIATESTKEY", "secret-for-tests")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def bucket(endpoint: str, name: str = "mine", **changes: object) -> Bucket:
    fields = {"endpoint": endpoint, "bucket": name, "region": "us-east-1", "keys": KEYS, "insecure": True} | changes
    return Bucket(**fields)  # type: ignore[arg-type]


async def test_files_arrive_and_can_be_read_listed_and_deleted(endpoint: str, tmp_path: Path) -> None:
    theirs = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
    )
    theirs.create_bucket(Bucket="mine")
    large = bytes(range(256)) * 4096
    (tmp_path / "数据 1+2.bin").write_bytes(large)
    (tmp_path / "empty").touch()
    done = await upload(tmp_path, ["数据 1+2.bin", "empty", "gone"], bucket(endpoint), "/runs/../today/")
    assert (done.files, done.bytes, done.vanished) == (2, len(large), 1)
    assert theirs.get_object(Bucket="mine", Key="runs/today/数据 1+2.bin")["Body"].read() == large

    ours = bucket(endpoint)
    assert sorted(ours.names("runs/")) == ["runs/today/empty", "runs/today/数据 1+2.bin"]
    assert b"".join(ours.get("runs/today/数据 1+2.bin")) == large
    ours.delete("runs/today/empty")
    ours.delete("runs/today/empty")
    assert list(ours.names("runs/")) == ["runs/today/数据 1+2.bin"]


async def test_refusals_have_the_stores_own_code(endpoint: str, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    for place, code in ((bucket(endpoint, "not-there"), "NoSuchBucket"), (bucket("http://127.0.0.1:9"), "unreachable")):
        with pytest.raises(StoreRefused) as refused:
            await upload(tmp_path, ["a"], place, "")
        assert refused.value.code == code


def test_an_object_that_breaks_off_is_an_error_and_no_short_object() -> None:
    class Short(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Short)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    with pytest.raises(StoreRefused):
        b"".join(bucket(f"http://127.0.0.1:{server.server_address[1]}").get("x"))
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"endpoint": "http://oss.example.org", "insecure": False}, "bad_endpoint"),
        ({"endpoint": "https://oss.example.org/path"}, "bad_endpoint"),
        ({"endpoint": "https://ada:key@oss.example.org"}, "bad_endpoint"),
        ({"bucket": "Not_A_Bucket"}, "bad_bucket"),
        ({"bucket": "a.example.org/x"}, "bad_bucket"),
        ({"region": "r\r\nX: y"}, "bad_region"),
    ],
)
def test_parts_that_are_not_valid_are_refused(changes: dict[str, object], code: str) -> None:
    with pytest.raises(StoreRefused) as refused:
        bucket(**({"endpoint": "https://oss.example.org"} | changes))  # type: ignore[arg-type]
    assert refused.value.code == code
