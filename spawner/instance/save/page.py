"""The save page's HTML: plain forms, without a script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from spawner.instance.save.git import DEFAULT_USER

POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
STYLE = """
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif;--line:#dfe5e6;--field:#87939a;--good:#0d7250;
--bad:#b3261e;--ground:#fafbfb;--surface:#fff;--text:#12181b;--accent:#0b6b75;--on-accent:#fff}
body{margin:0;background:var(--ground);color:var(--text)}
main,.row{box-sizing:border-box;margin:0 auto;max-width:46rem;padding:0 1rem}
main{padding-block:1.5rem 3rem}
header{background:var(--surface);border-bottom:1px solid var(--line)}
.row{display:flex;flex-wrap:wrap;align-items:center;gap:.25rem 1rem;
min-height:3.5rem}.row a{color:inherit;text-decoration:none;font-size:.9rem}.row a:hover{text-decoration:underline}
.row .brand{display:flex;align-items:center;gap:.6rem;margin-right:auto;font-size:1rem;font-weight:600}
.row [aria-current]{font-weight:600}
@media(max-width:30rem){.row [aria-current]{display:none}}
h1{font-size:1.5rem;margin:0 0 .5rem}h2{font-size:1.15rem;margin:0 0 .25rem}
section{background:var(--surface);
border:1px solid var(--line);border-radius:14px;padding:1rem 1.25rem;margin:1.25rem 0}
label{display:block;font-weight:600;margin:.9rem 0 .25rem}label.check{font-weight:400}
input:not([type=checkbox]),select{box-sizing:border-box;width:100%;font:inherit;padding:.5rem .6rem;
border:1px solid var(--field);border-radius:8px;background:var(--surface);color:inherit}
button,.button{display:inline-block;font:inherit;font-weight:600;margin-top:1rem;padding:.55rem 1.1rem;border:1px solid
var(--line);border-radius:9px;background:var(--surface);color:inherit;text-decoration:none;cursor:pointer}
button{border-color:var(--accent);background:var(--accent);color:var(--on-accent)}
.hint{opacity:.75;margin:.25rem 0}.result{border-left:.3rem solid var(--good);padding:.1rem 0 .1rem .9rem}
.result.bad{border-color:var(--bad)}pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85rem}
@media(prefers-color-scheme:dark){:root{--line:#263034;--field:#6d7b82;--good:#57c79c;--bad:#f58d84;--ground:#0e1214;
--surface:#151b1e;--text:#eaeff0;--accent:#62c8d1;--on-accent:#06262a}}
"""


LOGO = (
    '<svg width="26" height="26" viewBox="0 0 32 32" fill="none" stroke-width="2.5" stroke-linecap="round" '
    'aria-hidden="true"><rect width="32" height="32" rx="9" fill="#0b6b75"/><circle cx="16" cy="10.6" r="3.4" '
    'fill="#fff"/><path d="M10.3 15.6c.5 2.5 2.8 4 5.7 4s5.2-1.5 5.7-4" stroke="#fff"/><path d="M5.8 18.2c1.2 4.4 5.1 '
    '7 10.2 7s9-2.6 10.2-7" stroke="#fff" stroke-opacity=".6"/></svg>'
)
"""The desk's, which an instance does not have as a file."""
CURRENT = ' aria-current="true"'
LANGUAGES = {"en": "English", "zh-CN": "简体中文"}


@dataclass(frozen=True)
class Result:
    """How a save has ended, in the user's language. `details` is the output of a program."""

    is_saved: bool
    text: str
    details: str = ""


@dataclass(frozen=True)
class Page:
    """What the page shows. `given` are fields of the form that was sent, without secrets.

    `base` is the URL of the server's own pages, `home` that of the desk, `lab` that of JupyterLab.
    """

    language: str
    texts: Mapping[str, str]
    base: str
    home: str
    lab: str
    xsrf: str
    summary: str
    branch: str
    result: Result | None = None
    given: Mapping[str, str] | None = None

    def html(self) -> str:
        """The whole document."""
        t = self.texts
        return (
            f'<!doctype html><html lang="{self.language}"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
            f"<title>{escape(t['title'])} - Freepool</title><style>{STYLE}</style></head><body>{self._header()}<main>"
            f"<h1>{escape(t['title'])}</h1><p>{escape(t['lead'])}</p>{self._result()}<p>{escape(self.summary)}</p>"
            f'<p><a class="button" href="{escape(self.base)}files.zip" download>{escape(t["download"])}</a></p>'
            f"{self._git()}{self._bucket()}"
            f'<p class="hint">{escape(t["secrets"])}</p></main></body></html>'
        )

    def _header(self) -> str:
        languages = "".join(
            f'<a href="{escape(self.base)}save?language={tag}" lang="{tag}" hreflang="{tag}"'
            f"{CURRENT if tag == self.language else ''}>{name}</a>"
            for tag, name in LANGUAGES.items()
        )
        return (
            f'<header><div class="row"><a class="brand" href="{escape(self.home)}">{LOGO}<span>Freepool</span></a>'
            f'<a href="{escape(self.lab)}">{escape(self.texts["back"])}</a>{languages}</div></header>'
        )

    def _result(self) -> str:
        if self.result is None:
            return ""
        details = self.result.details and (
            f"<details><summary>{escape(self.texts['details'])}</summary><pre>{escape(self.result.details)}</pre>"
            "</details>"
        )
        kind = "result" if self.result.is_saved else "result bad"
        return f'<div class="{kind}" role="alert"><p>{escape(self.result.text)}</p>{details}</div>'

    def _git(self) -> str:
        fields = (
            self._input("url", placeholder="https://www.modelscope.cn/models/NAME/REPOSITORY.git", type="url")
            + self._input("branch", self.branch)
            + self._input("user", DEFAULT_USER)
            + self._secret("token")
            + self._input("message", "", required=False)
        )
        return self._form("git", "push", fields)

    def _bucket(self) -> str:
        checked = " checked" if (self.given or {}).get("path_style") else ""
        fields = (
            self._input("endpoint", placeholder="https://oss-cn-hangzhou.aliyuncs.com", type="url")
            + self._input("name")
            + self._input("region", placeholder="cn-hangzhou")
            + self._input("prefix", self.branch, required=False)
            + self._secret("key_id")
            + self._secret("secret")
            + self._secret("session_token", required=False)
            + f'<label class="check"><input type="checkbox" name="path_style" value="yes"{checked}> '
            f"{escape(self.texts['path_style'])}</label>"
        )
        return self._form("bucket", "upload", fields)

    def _form(self, kind: str, action: str, fields: str) -> str:
        t = self.texts
        options = "".join(
            f'<option value="{value}"{" selected" if (self.given or {}).get("what") == value else ""}>'
            f"{escape(t[value])}</option>"
            for value in ("changed", "all")
        )
        return (
            f'<section aria-labelledby="{kind}"><h2 id="{kind}">{escape(t[kind])}</h2>'
            f'<p class="hint">{escape(t[f"{kind}_lead"])}</p>'
            f'<form method="post" autocomplete="off" '
            f'action="{escape(self.base)}save/{kind}?language={self.language}">'
            f'<input type="hidden" name="_xsrf" value="{escape(self.xsrf)}">{fields}'
            f'<label for="{kind}-what">{escape(t["what"])}</label>'
            f'<select id="{kind}-what" name="what">{options}</select>'
            f"<button>{escape(t[action])}</button></form></section>"
        )

    def _input(
        self, name: str, value: str = "", *, placeholder: str = "", required: bool = True, type: str = "text"
    ) -> str:
        shown = (self.given or {}).get(name, value)
        return (
            f'<label for="{name}">{escape(self.texts[name])}</label><input id="{name}" name="{name}" type="{type}" '
            f'value="{escape(shown)}" placeholder="{escape(placeholder)}"{" required" if required else ""}>'
        )

    def _secret(self, name: str, *, required: bool = True) -> str:
        return (
            f'<label for="{name}">{escape(self.texts[name])}</label><input id="{name}" name="{name}" type="password" '
            f'autocomplete="new-password"{" required" if required else ""}>'
        )


def size_text(size: int) -> str:
    """A size for people. Units are 1024 times the one before, as on the home page."""
    value, units = float(size), ["B", "KB", "MB", "GB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.0f} {units[0]}" if value >= 10 or units[0] == "B" else f"{value:.1f} {units[0]}"
