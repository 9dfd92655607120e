"""A browser without scripts: pages, links and forms."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from spawner.ledger.paid import orders
from spawner.ledger.paid.rows import OrderState
from tests.cloud.steer import Steer
from tests.stack import NO_TLS, Stack, eventually

DESK = "/services/desk/"
INSTANCE_TYPE = "ecs.g6.large"
ORDER = re.compile(r"/paid/instances/([0-9a-f]{32})")
CONSENT = re.compile(r"/paid/consents/([0-9a-f]{32})")
ACCOUNT = re.compile(r"/paid/accounts/([0-9a-f]{32})")


@dataclass
class Form:
    """A form as a browser sends it. `buttons` are (name, value, text)."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str, str]] = field(default_factory=list)


class _Reader(HTMLParser):
    """Collects the forms and links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[tuple[str, str]] = []
        self._open: Form | None = None
        self._select: tuple[str, bool] | None = None
        self._text: list[str] | None = None
        self._button: tuple[str, str] | None = None

    def handle_starttag(self, tag: str, given: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in given}
        if tag == "form":
            self._open = Form(attributes.get("action", ""), attributes.get("method", "get"))
            self.forms.append(self._open)
        elif tag == "input" and self._open is not None and attributes.get("name"):
            self._open.fields[attributes["name"]] = attributes.get("value", "")
        elif tag == "select" and self._open is not None:
            self._select = attributes["name"], False
        elif tag == "option" and self._open is not None and self._select is not None:
            name, has_first = self._select
            if "selected" in attributes or not has_first:
                self._open.fields[name] = attributes.get("value", "")
            self._select = name, True
        elif tag == "button":
            self._button, self._text = (attributes.get("name", ""), attributes.get("value", "")), []
        elif tag == "a":
            self.links.append((attributes.get("href", ""), ""))
            self._text = []

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
        elif tag == "button" and self._open is not None and self._button is not None:
            self._open.buttons.append((*self._button, " ".join("".join(self._text or []).split())))
        elif tag == "a" and self.links:
            self.links[-1] = (self.links[-1][0], " ".join("".join(self._text or []).split()))


class Browser:
    """The session of one user. `page` is the last answer."""

    def __init__(self, stack: Stack, user: str, *, language: str = "en") -> None:
        stack.add_user(user)
        self.stack, self.user = stack, user
        headers = {"Accept-Language": language, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        self.client = httpx.Client(follow_redirects=True, timeout=60, headers=headers, verify=NO_TLS)
        self.page = self.client.get(stack.link_for(user))
        self.at("/services/desk/paid")

    def at(self, path: str) -> httpx.Response:
        """Load a page. A relative path is relative to the current page."""
        base = self.stack.url if path.startswith("/services/") else str(self.page.url)
        self.page = self.client.get(urljoin(base, path))
        return self.page

    def parse(self) -> _Reader:
        """Forms and links of the page."""
        reader = _Reader()
        reader.feed(self.page.text)
        return reader

    def form(self, button: str) -> tuple[Form, tuple[str, str, str]]:
        """The first form with a button whose text starts with `button`, and that button."""
        found = [(form, entry) for form in self.parse().forms for entry in form.buttons if entry[2].startswith(button)]
        assert found, f"no button {button!r} on {self.page.url}: {self.text[:2000]}"
        return found[0]

    def press(self, button: str, **values: str) -> httpx.Response:
        """Send the form of a button, with `values` filled in."""
        form, (name, value, _) = self.form(button)
        fields = form.fields | ({name: value} if name else {}) | values
        url = urljoin(str(self.page.url), form.action or str(self.page.url))
        if form.method == "get":
            self.page = self.client.get(url, params=fields)
        else:
            here = urlsplit(str(self.page.url))
            self.page = self.client.post(url, data=fields, headers={"Origin": f"{here.scheme}://{here.netloc}"})
        return self.page

    def follow(self, link: str) -> httpx.Response:
        """Load the target of the first link whose text starts with `link`."""
        found = [href for href, text in self.parse().links if text.startswith(link)]
        assert found, f"no link {link!r} on {self.page.url}: {self.text[:2000]}"
        return self.at(found[0])

    @property
    def text(self) -> str:
        """The text of the page, without tags."""
        plain = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", self.page.text, flags=re.DOTALL)
        return " ".join(plain.replace("&nbsp;", " ").replace("&#39;", "'").split())

    # -- from the account to the instance

    def link(self, account: str, *, role: bool = True) -> str:
        """Link a cloud account, and create its role with the one-click link. Returns the binding's id."""
        self.at("/services/desk/paid")
        self.press("Link")
        self.follow("Continue")
        fields, _ = self.form("")[0], None
        forms = [form for form in self.parse().forms if form.fields.get("account") == account]
        name, value, _ = forms[0].buttons[0]
        url = urljoin(str(self.page.url), forms[0].action)
        self.page = self.client.post(url, data=fields.fields | forms[0].fields | {name: value})
        found = ACCOUNT.search(str(self.page.url))
        assert found, self.text[:500]
        if role:
            self.make_role(account)
            self.press("Check")
            assert "Everything is set up" in self.text, self.text[:1500]
        return found[1]

    def make_role(self, account: str) -> None:
        """Create the role with the one-click link of the page."""
        here = str(self.page.url)
        self.follow("Create the role in the cloud console")
        assert self.page.status_code == 200, self.page.text
        forms = [form for form in self.parse().forms if form.buttons and form.buttons[0][1] == account]
        self.page = self.client.post(str(self.page.url), data=forms[0].fields | {"account": account})
        assert self.page.status_code == 200, self.page.text
        self.page = self.client.get(here)

    def ask(self, binding: str, *, instance_type: str = INSTANCE_TYPE, cap: str | None = None) -> str:
        """Choose an instance type and its limits. Returns the consent's id."""
        self.at(f"/services/desk/paid/new/{binding}")
        self.follow(f"Choose {instance_type}")
        self.press("Review terms", **({"cap": cap} if cap else {}))
        found = CONSENT.search(str(self.page.url))
        assert found, self.text[:1500]
        return found[1]

    def agree(self) -> str:
        """Consent. Returns the order's id."""
        self.press("Approve and start")
        found = ORDER.search(str(self.page.url))
        assert found, self.text[:1500]
        return found[1]

    def wait(self, order: str, *words: str, seconds: float = 90) -> None:
        """Reload the instance's page until it contains all `words`."""

        def look() -> bool:
            self.at(f"/services/desk/paid/instances/{order}")
            return all(word in self.text for word in words)

        try:
            eventually(look, seconds=seconds, what=f"{words} on the page")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.text[:1500]}") from None

    def api(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """Call the JSON API as a script of the desk's pages does."""
        found = re.search(r'name="_xsrf" value="([^"]+)"', self.page.text) or re.search(
            r'data-xsrf="([^"]+)"', self.client.get(f"{self.stack.url}/services/desk/paid").text
        )
        assert found
        headers = {"X-XSRFToken": found[1], "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"} | kwargs.pop(
            "headers", {}
        )
        return self.client.request(method, f"{self.stack.url}/services/desk/api/{path}", headers=headers, **kwargs)


Browse = Callable[..., Browser]


def fresh_account(cloud: Steer, number: int, name: str) -> str:
    """A new account of the demo cloud. `number` is unique among the tests."""
    account = str(4000000000000000 + number)
    cloud.account(account, name=name)
    return account


def delete_instance(browser: Browser, order: str) -> None:
    """Delete an instance and wait until it is gone."""
    browser.at(f"{DESK}paid/instances/{order}/delete")
    browser.press("Delete permanently")
    eventually(lambda: browser.stack.ledger.read(orders.get, order).state is OrderState.GONE, seconds=90)
