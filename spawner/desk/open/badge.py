"""GET /open/badge makes a link and its badge for a README. GET /open/badge.svg is the badge's picture.

Both are for everybody, and fetch nothing.
"""

from __future__ import annotations

from html import escape

from spawner.desk.http import Handler
from spawner.desk.requests import query_fields
from spawner.errors import BadOption
from spawner.links.hoster_pages import of_page
from spawner.links.target import FIELDS, LONGEST_ADDRESS, not_allowed, read_target

LABEL = "Open in Freepool"
"""READMEs are read in any language, so the picture has one."""
PICTURE = f"""<svg xmlns="http://www.w3.org/2000/svg" width="136" height="24" role="img" aria-label="{LABEL}">
<title>{LABEL}</title>
<rect width="136" height="24" rx="5" fill="#12636b"/>
<path d="M8 14c1.6 0 1.6-2 3.2-2s1.6 2 3.2 2 1.6-2 3.2-2M8 17.5c1.6 0 1.6-2 3.2-2s1.6 2 3.2 2 1.6-2 3.2-2" fill="none" \
stroke="#8fe0dd" stroke-width="1.6" stroke-linecap="round"/>
<circle cx="13" cy="7.4" r="2.4" fill="#fff"/>
<text x="25" y="16.2" fill="#fff" font-family="system-ui,-apple-system,'Segoe UI',Roboto,sans-serif" \
font-size="12" font-weight="600" textLength="102">{LABEL}</text>
</svg>
"""


class BadgePage(Handler):
    """GET /open/badge?address=, or with the query of an open link"""

    needs_user = False
    shows_account = True

    def get(self) -> None:
        """The form, and what to copy where it names something."""
        fields = query_fields(self)
        address = fields.get("address", "").strip()[: LONGEST_ADDRESS + 1]
        query, problem = "", None
        try:
            asked = of_page(address) if address else {name: fields[name] for name in FIELDS if name in fields}
            target = read_target(asked, self.desk.settings.links.also_allow) if asked else None
            query = target.query if target is not None else ""
        except (BadOption, ValueError) as error:  # ValueError: brackets in a host that are no IPv6 address
            refusal = error if isinstance(error, BadOption) else not_allowed()
            problem = self.language_texts.together(self.say(refusal.template), self.say(refusal.next_template))
        link = f"{self.desk.settings.public_url}open?{query}"
        picture = f"{self.desk.settings.public_url.rstrip('/')}{self.desk.base}open/badge.svg"
        self.finish(
            self.render_page(
                "open/badge.html",
                address=address,
                problem=problem,
                page=f"{self.desk.base}open?{query}" if query else None,
                picture=f"{self.desk.base}open/badge.svg",
                label=LABEL,
                copies=[
                    (self.say("Link"), link),
                    ("Markdown", f"[![{LABEL}]({picture})]({link})"),
                    ("HTML", f'<a href="{escape(link)}"><img src="{escape(picture)}" alt="{LABEL}"></a>'),
                ],
            )
        )


class BadgePicture(Handler):
    """GET /open/badge.svg"""

    needs_user = False

    def get(self) -> None:
        """The picture, which pages of other sites may show."""
        self.set_header("Content-Type", "image/svg+xml")
        self.set_header("Cross-Origin-Resource-Policy", "cross-origin")
        self.set_header("Cache-Control", "public, max-age=86400")
        self.finish(PICTURE)
