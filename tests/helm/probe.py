"""Runs inside pods: connects to all targets at once, and reports for each whether an answer came back.

A target is [kind, host, port]. `tcp` and `udp` want an echo that names the address; `http` an answer, whatever it says;
`tls` a handshake; `dns` the address of a name. Needs nothing but Python, and is given to pods as text.
"""

import json
import os
import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor

SECONDS = 2.5


def probe(targets):  # type: ignore[no-untyped-def]
    """The result of each target, in the same order: `reached`, or the error."""
    with ThreadPoolExecutor(len(targets)) as threads:
        return list(threads.map(_try, targets))


def _try(target):  # type: ignore[no-untyped-def]
    kind, host, port = target
    try:
        return "reached" if globals()["_" + kind](host, port) else "another answer"
    except TimeoutError:
        return "no answer"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return "unreachable: " + str(error)


def _exchange(kind, host, port, data):  # type: ignore[no-untyped-def]
    with socket.socket(socket.AF_INET, kind) as connection:
        connection.settimeout(SECONDS)
        connection.connect((host, port))
        connection.sendall(data)
        return connection.recv(1500)


def _tcp(host, port, kind=socket.SOCK_STREAM):  # type: ignore[no-untyped-def]
    word = os.urandom(8).hex()
    return _exchange(kind, host, port, word.encode()) == (host + " " + word).encode()


def _udp(host, port):  # type: ignore[no-untyped-def]
    return _tcp(host, port, socket.SOCK_DGRAM)


def _http(host, port):  # type: ignore[no-untyped-def]
    return _exchange(socket.SOCK_STREAM, host, port, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.")


def _tls(host, port):  # type: ignore[no-untyped-def]
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection((host, port), timeout=SECONDS) as connection, context.wrap_socket(connection):
        return True


def _dns(host, port):  # type: ignore[no-untyped-def]
    return bool(socket.gethostbyname(host))


if __name__ == "__main__":
    print(json.dumps(probe(json.loads(sys.argv[1]))))
