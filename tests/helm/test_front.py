"""The chart's proxy: the starter with the options that the chart writes, on ports of this machine."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from spawner.local import preflight
from spawner.local.front import STARTER
from spawner.settings import LARGEST_REQUEST, LOOPBACK, Settings
from tests.browser.tls import make_certificate
from tests.helm.chart import VALUE_SETS, Values, manifest_of, notes, proxy_options, render, settings_of
from tests.hub.front import TOKEN, Upstream
from tests.stack import eventually, free_port

MIB = 1024 * 1024
SMALL = {"keepAliveSeconds": 90, "connections": 8}
SHORT = {"headerSeconds": 1, "bodySeconds": 1, "uploadIdleSeconds": 1}
HUB, DESK = "http://freepool-hub.lab.svc:8081", "http://freepool-desk.lab.svc:8002"
PUBLIC = {"public": "https://lab.example.org/"}
TLS: Values = PUBLIC | {"proxy": {"tls": {"secretName": "lab-tls"}}}


@contextmanager
def pods_proxy(values: Values, host: str = "lab.example.org") -> Iterator[tuple[str, Path]]:
    """The chart's proxy, with the hub and the desk on this machine; its URL and its folder.

    With TLS, `certificate.pem` there is for `host`, and `https` has the port.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="front-", dir="/tmp")))
        options = proxy_options(render(values))
        if "tls" in options:
            make_certificate(folder, host)
            place = str(folder / "certificate.pem")
            options["tls"] |= {"port": free_port(), "certificate": place, "key": place}
            (folder / "https").write_text(str(options["tls"]["port"]))
        for name, url in (("hub", HUB), ("desk", DESK)):
            upstream = Upstream(name, socket.create_server((LOOPBACK, 0)))
            stack.callback(upstream.server_close)
            stack.callback(upstream.shutdown)
            here = f"http://{LOOPBACK}:{upstream.server_address[1]}"
            options = json.loads(json.dumps(options).replace(url, here))
        node, script = preflight.proxy_command()
        options |= {"modules": str(Path(script).parents[2]), "routes": str(folder / "routes.json")}
        options |= {"port": free_port(), "api": free_port()}
        options["limits"]["checkMs"] = 50
        with (folder / "log").open("wb") as log:
            running = subprocess.Popen(
                [node, str(STARTER), json.dumps(options)],
                env={**os.environ, "CONFIGPROXY_AUTH_TOKEN": TOKEN},
                stdout=log,
                stderr=log,
            )
        stack.callback(running.wait)
        stack.callback(running.kill)
        url = f"http://{LOOPBACK}:{options['port']}"
        eventually(lambda: is_healthy(url), what=(folder / "log").read_text())
        api = f"http://{LOOPBACK}:{options['api']}/api/routes"
        assert httpx.get(api).status_code == 403, "the API asks for the token"
        headers = {"Authorization": f"token {TOKEN}"}
        here = f"/ann.{options['host']}/user/ann" if options["host"] else "/user/ann"
        target = f"http://{LOOPBACK}:{_notebook(stack)}"
        assert httpx.post(f"{api}{here}", headers=headers, json={"target": target}).status_code == 201
        yield url, folder


def _notebook(stack: ExitStack) -> int:
    upstream = Upstream("notebook", socket.create_server((LOOPBACK, 0)))
    stack.callback(upstream.server_close)
    stack.callback(upstream.shutdown)
    return int(upstream.server_address[1])


def is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/_chp_healthz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with pods_proxy({"proxy": {"limits": SMALL}}) as (running, _):
        yield running


@pytest.fixture(scope="module")
def hasty() -> Iterator[str]:
    with pods_proxy({"proxy": {"limits": SHORT}}) as (running, _):
        yield running


def chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // 65536):
        yield b"x" * 65536


@pytest.mark.parametrize("path", ["hub/api/users", "services/desk/api/start", "anything"])
@pytest.mark.parametrize("way", ["declared", "chunked"])
def test_a_body_for_hub_or_desk_is_limited_as_on_one_machine(path: str, way: str, url: str) -> None:
    host = {"Host": "localhost"}
    body = b"x" * 2 * MIB if way == "declared" else chunks(2 * MIB)
    assert httpx.post(f"{url}/{path}", content=body, headers=host, timeout=20).status_code == 413
    answer = httpx.post(f"{url}/{path}", content=b"x" * MIB, headers=host, timeout=20)
    assert answer.text == f"{'desk' if 'desk' in path else 'hub'} /{path} {MIB}"


def test_an_upload_to_a_notebook_is_not(url: str) -> None:
    answer = httpx.put(f"{url}/user/ann/big", content=chunks(2 * MIB), headers={"Host": "ann.localhost"}, timeout=60)
    assert answer.text == f"notebook /user/ann/big {2 * MIB}"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /hub/login HTTP/1.1\r\nHost: here\r\nX-Slow: ", b"408"),
        (b"POST /hub/login HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\nx", b"408"),
        (b"PUT /user/ann/x HTTP/1.1\r\nHost: ann.localhost\r\nContent-Length: 9\r\n\r\nx", b"408"),
    ],
    ids=["headers", "body for the hub", "upload"],
)
def test_what_does_not_arrive_is_given_up(sent: bytes, status: bytes, hasty: str) -> None:
    address, port = hasty.removeprefix("http://").split(":")
    with socket.create_connection((address, int(port)), timeout=20) as client:
        client.sendall(sent)
        assert client.recv(65536).split(b" ")[1] == status


def test_idle_connections_are_kept_as_long_as_the_values_say(url: str) -> None:
    assert httpx.get(f"{url}/_chp_healthz").headers["Keep-Alive"] == "timeout=90"


def test_one_address_never_has_all_connections(url: str) -> None:
    address, port = url.removeprefix("http://").split(":")
    held = [socket.create_connection((address, int(port))) for _ in range(4)]
    eventually(lambda: not is_healthy(url), seconds=5, what="the limit")
    for connection in held:
        connection.close()
    eventually(lambda: is_healthy(url), seconds=5, what="room again")


def test_a_host_for_each_user_is_routed_and_routes_outlive_the_proxy() -> None:
    with pods_proxy(PUBLIC) as (url, folder):
        assert httpx.get(f"{url}/user/ann/x", headers={"Host": "ann.lab.example.org"}).text == "notebook /user/ann/x 0"
        assert httpx.get(f"{url}/user/ann/x", headers={"Host": "lab.example.org"}).text.startswith("hub ")
        kept = json.loads((folder / "routes.json").read_text())
        assert set(kept) == {"/", "/ann.lab.example.org/user/ann", "/lab.example.org/services/desk"}


def served_name(port: int, name: str) -> str:
    """The name in the certificate that a port shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection((LOOPBACK, port), timeout=10)
    with context.wrap_socket(plain, server_hostname=name) as secure:
        shown = x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"")
    return str(shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def test_the_proxy_ends_tls_sends_browsers_there_and_takes_a_new_certificate() -> None:
    with pods_proxy(TLS) as (url, folder):
        port = int((folder / "https").read_text())
        secure = httpx.get(
            f"https://{LOOPBACK}:{port}/user/ann/x", headers={"Host": "ann.lab.example.org"}, verify=False
        )
        assert secure.text == "notebook /user/ann/x 0"
        for host in ("lab.example.org", "ann.lab.example.org"):
            sent = httpx.post(f"{url}/hub/login?next=%2F", headers={"Host": host}, content=b"x")
            assert (sent.status_code, sent.headers["Location"]) == (308, f"https://{host}/hub/login?next=%2F")
        own = httpx.get(f"{url}/services/desk/", headers={"Host": "freepool-proxy.lab.svc"})
        assert own.status_code == 200, "notebooks and probes reach it as before"
        assert served_name(port, "lab.example.org") == "lab.example.org"
        make_certificate(folder, "new.example.org")
        eventually(lambda: served_name(port, "lab.example.org") == "new.example.org", seconds=10, what="the new one")


def test_tls_at_the_proxy_has_a_port_of_the_service_and_its_secret() -> None:
    manifests = render(TLS)
    ports = manifest_of(manifests, "Service", "freepool-proxy")["spec"]["ports"]
    assert [(port["name"], port["port"], port["targetPort"]) for port in ports] == [
        ("http", 80, "http"),
        ("https", 443, "https"),
    ]
    pod = manifest_of(manifests, "Deployment", "freepool-proxy")["spec"]["template"]["spec"]
    (volume,) = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
    assert (volume["secretName"], volume["defaultMode"]) == ("lab-tls", 0o440)
    assert proxy_options(manifests)["tls"]["host"] == "lab.example.org"
    assert proxy_options(render(TLS | {"public": "https://lab.example.org:8443/"}))["tls"]["publicPort"] == "8443"
    assert "tls" not in proxy_options(render())
    for wrong, words in (
        ({"public": ""}, "set public to the https:// address"),
        ({"proxy": TLS["proxy"] | {"extraArgs": ["--x"]}}, r"remove proxy\.extraArgs"),
        ({"ingress": {"enabled": True, "hosts": ["lab.example.org"]}}, "ends TLS already"),
    ):
        with pytest.raises(Exception, match=words):
            render(TLS | wrong)


def test_an_api_on_a_port_without_a_token_is_refused() -> None:
    node, script = preflight.proxy_command()
    options = proxy_options(render()) | {"modules": str(Path(script).parents[2]), "routes": "/nonexistent"}
    environment = {name: value for name, value in os.environ.items() if name != "CONFIGPROXY_AUTH_TOKEN"}
    done = subprocess.run(
        [node, str(STARTER), json.dumps(options | {"port": free_port(), "api": free_port()})],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "CONFIGPROXY_AUTH_TOKEN is not set" in done.stderr


@pytest.mark.parametrize(
    ("hard", "expected"), [("1024", 384), ("1048576", 10000), ("unlimited", 10000), ("64", 1)], ids=str
)
def test_connections_are_limited_by_the_pods_descriptors(hard: str, expected: int, tmp_path: Path) -> None:
    file = tmp_path / "limits"
    file.write_text(f"Max processes             7000                 7000                 processes \n"
                    f"Max open files            1024                 {hard:20} files     \n")  # fmt: skip
    node, _ = preflight.proxy_command()
    code = f"const m = await import('{STARTER.parent / 'pod.js'}'); console.log(m.affordable(10000, '{file}'))"
    said = subprocess.run([node, "--input-type=module", "-e", code], capture_output=True, text=True, check=True)
    assert int(said.stdout) == expected


@pytest.mark.parametrize("values", [{}, PUBLIC, VALUE_SETS["ingress"]], ids=["default", "public", "ingress"])
def test_hub_and_desk_are_where_the_hubs_routes_lead(values: Values) -> None:
    """Else the limits of their bodies would not hold: the proxy knows them by their addresses."""
    manifests = render(values)
    options, settings = proxy_options(manifests), Settings.model_validate(settings_of(manifests))
    assert options["desk"] == options["gate"] == settings.desk_url == settings.gate_url
    assert f"{options['hub']}/hub/" == settings.hub_url
    assert options["limits"].get("bodyBytes", MIB) == LARGEST_REQUEST


def test_the_schema_refuses_limits_that_are_none() -> None:
    for wrong in ({"bodySeconds": 0}, {"connections": "many"}, {"bodyBytes": 5}):
        with pytest.raises(Exception, match="proxy"):
            render({"proxy": {"limits": wrong}})


def test_arguments_of_the_plain_proxy_still_work_and_the_notes_say_what_is_lost() -> None:
    values: Values = {"proxy": {"extraArgs": ["--custom-header=X-Lab:yes"]}}
    (container,) = manifest_of(render(values), "Deployment", "freepool-proxy")["spec"]["template"]["spec"]["containers"]
    assert (container["args"][0], container["args"][-1]) == ("configurable-http-proxy", "--custom-header=X-Lab:yes")
    assert "proxy.extraArgs is deprecated" in notes(values)
    assert "proxy.extraArgs" not in notes()
