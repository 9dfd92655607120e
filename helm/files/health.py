"""What `helm test` runs in a pod of its own: the platform answers through the proxy, and this pod has no account."""

import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

PATIENCE_SECONDS = 60
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def answer(url: str) -> str:
    """The status of a GET, or why there was none."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310  (the chart gives it)
            return str(response.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError as error:
        return str(error)


def main(base: str) -> None:
    """Ask until both are healthy; end with a sentence that names what is not."""
    until = time.monotonic() + PATIENCE_SECONDS
    for path in ("/hub/health", "/services/desk/health"):
        while (status := answer(base + path)) != "200":
            if time.monotonic() > until:
                sys.exit(f"{base}{path} answered {status}")
            time.sleep(1)  # a health page has no events
        sys.stdout.write(f"{path} is healthy\n")
    if ACCOUNT.exists():
        sys.exit("a pod that needs no account has one")
    sys.stdout.write("no account is mounted\n")


if __name__ == "__main__":
    main(sys.argv[1])
