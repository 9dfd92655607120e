"""What a request is told that comes too often: JSON for programs, a page in English and Chinese for browsers.

The proxy gets these texts, too. `{seconds}` is filled in last: `filled` here, rates.js there.
"""

from __future__ import annotations

import json

from spawner.rate_limits.rules import Kind

CODE = "rate_limited"
ADDRESS = {
    Kind.LOGIN: "Too many sign-in attempts came from your network in a short time.",
    Kind.START: "Too many notebooks were requested from your network in a short time.",
    Kind.API: "Too many requests came from your network in a short time.",
}
ADDRESS_ZH = {
    Kind.LOGIN: "短时间内来自你所在网络的登录尝试过多。",
    Kind.START: "短时间内来自你所在网络的 Notebook 启动请求过多。",
    Kind.API: "短时间内来自你所在网络的请求过多。",
}
PERSON = {
    Kind.LOGIN: "You have signed in too often in a short time.",
    Kind.START: "You have requested too many notebooks in a short time.",
    Kind.API: "You have sent too many requests in a short time.",
}
PERSON_ZH = {
    Kind.LOGIN: "你在短时间内登录过于频繁。",
    Kind.START: "你在短时间内请求启动的 Notebook 过多。",
    Kind.API: "你在短时间内发送的请求过多。",
}
NEXT = "Wait {seconds} seconds, and try again."
NEXT_ONE = "Wait 1 second, and try again."
NEXT_ZH = "请等待 {seconds} 秒后重试。"
SECONDS = "{seconds}"
SEVERAL, ONE = "{seconds} seconds", "1 second"
"""What English says of several seconds, and of one. The proxy replaces the same (rates.js)."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Too many requests - Freepool</title>
<style>
:root {{ color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }}
body {{ max-width: 34rem; margin: 15vh auto 0; padding: 0 1.5rem }}
h1 {{ font-size: 1.5rem }}
</style>
</head>
<body>
<header class="brand">Freepool</header>
<main>
<h1>Too many requests</h1>
<p>{english} {next}</p>
<section lang="zh-CN">
<h1>请求过于频繁</h1>
<p>{chinese}{next_zh}</p>
</section>
</main>
</body>
</html>
"""


def page(kind: Kind) -> str:
    """The page for a browser."""
    return _PAGE.format(english=ADDRESS[kind], next=NEXT, chinese=ADDRESS_ZH[kind], next_zh=NEXT_ZH)


def hub_json(kind: Kind) -> str:
    """As JupyterHub's API writes errors."""
    return json.dumps({"status": 429, "message": f"{ADDRESS[kind]} {NEXT}"})


def desk_json(kind: Kind) -> str:
    """As the desk's API writes errors."""
    return json.dumps({"error": {"code": CODE, "message": ADDRESS[kind], "next": NEXT, "details": ""}})


def is_for_program(path: str, accept: str) -> bool:
    """Whether a request gets JSON."""
    return "/api/" in path or "text/html" not in accept


def answer(kind: Kind, path: str, accept: str, seconds: int) -> tuple[str, str]:
    """Content type and body."""
    if not is_for_program(path, accept):
        return "text/html; charset=utf-8", filled(page(kind), seconds)
    text = desk_json(kind) if path.startswith("/services/desk/") else hub_json(kind)
    return "application/json", filled(text, seconds)


def filled(text: str, seconds: int) -> str:
    """A text with the number of seconds."""
    return (text.replace(SEVERAL, ONE) if seconds == 1 else text).replace(SECONDS, str(seconds))
