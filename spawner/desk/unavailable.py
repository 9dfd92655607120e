"""GET /unavailable/STATUS: what the proxy shows where hub or notebook does not answer it, with that status."""

from __future__ import annotations

import re
from http import HTTPStatus

from spawner.desk.http import Handler
from spawner.desk.report_view import make_report

NOTEBOOK = re.compile(r"/user/[^/]+(/|$)")
LONGEST_PATH = 500
AWAY = "Running notebooks are not affected. Try again in a moment."
NOTEBOOK_AWAY = "It may have just ended, or be busy. The home page shows its state."


class UnavailableHandler(Handler):
    """The proxy asks for it, with the browser's language and the id of its request, and without its sign-in."""

    needs_user = False
    serves_user_hosts = True

    @property
    def pages_base(self) -> str:
        """With the host, as the page is also shown on hosts of notebooks."""
        return f"{self.desk.settings.subdomain_host or ''}{self.desk.base}"

    def static_path(self, path: str) -> str:
        """With the host, too."""
        return f"{self.desk.settings.subdomain_host or ''}{super().static_path(path)}"

    def get(self, status: str) -> None:
        """The page."""
        path = self.get_query_argument("url", "/")[:LONGEST_PATH]
        title, text = self.say("The platform is not responding"), self.say(AWAY)
        if NOTEBOOK.match(path):
            title, text = self.say("This notebook is not responding"), self.say(NOTEBOOK_AWAY)
        elif int(status) == HTTPStatus.NOT_FOUND:
            title, text = self.say("Page not found"), self.say("Check the address, or go to the home page.")
        sources = f"'self' {self.desk.settings.subdomain_host or ''}".strip()
        self.set_header(
            "Content-Security-Policy",
            f"default-src 'none'; style-src {sources}; script-src {sources}; img-src {sources}; "
            "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        )
        self.current_user = None
        self.finish(
            self.render_page(
                "shared/message.html",
                languages=[],
                title=title,
                text=text,
                report=make_report(self, f"{status} {title}", path=path, assets=f"{self.pages_base}static/shared/"),
                action_url=self.pages_base,
                action_label=self.say("Go to home page"),
            )
        )
