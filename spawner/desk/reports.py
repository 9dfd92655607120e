"""GET /report, and the part "Report a problem" of the desk's error pages."""

from __future__ import annotations

from urllib.parse import urlsplit

from spawner.desk.http import Handler
from spawner.desk.report_view import make_report


class ReportHandler(Handler):
    """For a user whose page shows no error: JupyterLab's and the status page's links lead here."""

    needs_user = False
    shows_account = True

    def get(self) -> None:
        """The page. Its text has no more than the request itself says."""
        self.finish(
            self.render_page(
                "shared/message.html",
                title=self.say("Report a problem"),
                text=self.say("Describe what you did, what you expected, and what happened instead."),
                report=make_report(self, "", path=self._page_before(), is_open=True),
                action_url=self.desk.base,
                action_label=self.say("Go to home page"),
            )
        )

    def _page_before(self) -> str:
        """The path of the page of this host whose link led here; empty where the browser does not say."""
        before = urlsplit(self.request.headers.get("Referer", ""))
        return before.path if before.netloc == self.request.host else ""
