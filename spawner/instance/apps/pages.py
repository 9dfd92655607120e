"""The few pages on an app's host that are not the app's own: plain HTML without a script."""

from __future__ import annotations

import time
from collections.abc import Mapping
from html import escape

from spawner.instance.save.page import LOGO, STYLE

POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

EN: Mapping[str, str] = {
    "shared": "An app that {user} shares with you",
    "shared_text": "It runs in a notebook of {user}, who made it or chose it. This platform has not checked it, and "
    "never asks for your password here.",
    "until": "The link works until {time} UTC, and no longer than the notebook.",
    "open": "Open the app",
    "gone": "This link does not work any more",
    "gone_text": "It has expired, was revoked, or its notebook has ended. Ask for a new one.",
    "silent": "Nothing answers on port {port}",
    "silent_text": "Start the app in the notebook, with 127.0.0.1 as its address. This page tries again by itself.",
    "closed": "Port {port} cannot be opened",
    "closed_text": "The platform uses this port, or apps are turned off. Let the app listen on another port.",
    "odd": "The app on port {port} did not answer",
    "odd_text": "It closed the connection, or sent something other than HTTP. Its output in the notebook may say why.",
    "refused": "Refused",
    "refused_text": "Another site asked for this. Open the app's own page.",
    "busy": "Too many connections",
    "busy_text": "This app has as many connections as it may have. Try again in a moment.",
}
ZH: Mapping[str, str] = {
    "shared": "{user} 分享给你的应用",
    "shared_text": "它运行在 {user} 的 Notebook 中，应用由该用户编写或选用。平台未对其进行审核，"
    "也绝不会在这里要求你输入密码。",
    "until": "链接有效期至 {time} UTC，且不会超过 Notebook 的运行时间。",
    "open": "打开应用",
    "gone": "此链接已失效",
    "gone_text": "链接已过期、被撤销，或所属 Notebook 已结束。请索取新的链接。",
    "silent": "端口 {port} 没有响应",
    "silent_text": "请在 Notebook 中启动应用，监听地址为 127.0.0.1。此页面会自动重试。",
    "closed": "无法打开端口 {port}",
    "closed_text": "该端口由平台保留，或应用功能已关闭。请让应用监听其他端口。",
    "odd": "端口 {port} 上的应用未正常响应",
    "odd_text": "应用关闭了连接，或返回的内容不是 HTTP。请在 Notebook 中查看应用的输出。",
    "refused": "请求被拒绝",
    "refused_text": "该请求来自其他网站。请打开应用自己的页面。",
    "busy": "连接过多",
    "busy_text": "此应用的连接数已达上限，请稍后再试。",
}


def texts_for(accept_language: str) -> tuple[str, Mapping[str, str]]:
    """The language's tag and its sentences, by a browser's `Accept-Language`."""
    return ("zh-CN", ZH) if accept_language.lstrip().lower().startswith("zh") else ("en", EN)


def message_page(accept_language: str, name: str, **values: object) -> str:
    """One of the messages above."""
    language, texts = texts_for(accept_language)
    body = f"<p>{escape(texts[f'{name}_text'].format(**values))}</p>"
    return _page(language, texts[name].format(**values), body)


def share_page(accept_language: str, *, user: str, until: float, action: str) -> str:
    """What a visitor sees first. `action` opens the app by POST; `until` is seconds since 1970."""
    language, texts = texts_for(accept_language)
    end = time.strftime("%Y-%m-%d %H:%M", time.gmtime(until))
    body = (
        f"<p>{escape(texts['shared_text'].format(user=user))}</p><p>{escape(texts['until'].format(time=end))}</p>"
        f'<form method="post" action="{escape(action)}"><button>{escape(texts["open"])}</button></form>'
    )
    return _page(language, texts["shared"].format(user=user), body)


def _page(language: str, title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{escape(title)} - Freepool</title><style>{STYLE}</style></head><body>"
        f'<header><div class="row"><span class="brand">{LOGO}<span>Freepool</span></span></div></header>'
        f"<main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )
