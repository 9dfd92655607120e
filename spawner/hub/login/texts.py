"""What the login's pages say, in English and Chinese."""

from __future__ import annotations

from html import escape

from spawner.hub.login.pages import both

AGAIN = '<a href="/hub/oauth_login">Log in again</a>.'
AGAIN_ZH = '<a href="/hub/oauth_login">重新登录</a>。'


def login_page(title: str) -> str:
    """The login page's content, a Jinja template of JupyterHub's."""
    shown = escape(title).replace("{", "&#123;").replace("}", "&#125;")
    button = '<a role="button" class="btn btn-jupyter btn-lg" href="{{ authenticator_login_url | e }}"'
    return (
        f'<div class="service-login"><h1>Freepool</h1>'
        f"<p>{button}>Log in with {shown}</a></p>"
        f"<p>{button} lang='zh-CN'>使用 {shown} 登录</a></p></div>"
    )


def not_admitted(name: str, title: str) -> str:
    """The provider knows the account, and the settings do not admit it."""
    other = "/hub/oauth_login?another=1"
    return both(
        "{title} knows you as {name}, but this account may not log in here. Ask the people who run this platform to "
        f'admit it, or <a href="{other}">log in with another account</a>.',
        "{title} 识别您为 {name}，但此帐号无权登录本平台。请联系平台管理员，"
        f'或<a href="{other}">使用其他帐号登录</a>。',
        name=name,
        title=title,
    )


def name_taken(name: str) -> str:
    """Another account of the provider logged in under this name before."""
    return both(
        "The name {name} belongs to somebody who has used this platform with another account. Ask the people who run "
        "this platform: they can delete the old user.",
        "用户名 {name} 属于曾以另一帐号使用本平台的人。请联系平台管理员删除旧用户。",
        name=name,
    )


def provider_fails(title: str) -> str:
    """The provider is away, slow, or answers rubbish."""
    return both(
        "{title} does not answer as it should, so nobody can log in just now. Notebooks that run go on running, and "
        f"whoever is logged in stays so. Try it in a few minutes: {AGAIN}",
        "{title} 未正常响应，暂时无法登录。正在运行的 Notebook 不受影响，已登录的用户保持登录。"
        f"请几分钟后再试：{AGAIN_ZH}",
        title=title,
    )


def cannot_log_in(title: str) -> str:
    """The provider has said no to us, or what it said about the account is not enough."""
    return both(
        "{title} did not complete this login. " + AGAIN + " If it fails again, tell the people who run this platform.",
        "{title} 未完成此次登录。" + AGAIN_ZH + "如再次失败，请告知平台管理员。",
        title=title,
    )


def not_agreed(title: str) -> str:
    """The user has pressed "cancel" at the provider."""
    return both(
        "You have not agreed to log in with {title}, so you are not logged in. " + AGAIN,
        "您未同意使用 {title} 登录，因此尚未登录。" + AGAIN_ZH,
        title=title,
    )


def begin_again() -> str:
    """The answer of the provider belongs to no login that this browser has begun."""
    return both(
        "This login was begun in another window, or too long ago. " + AGAIN,
        "此次登录是在其他窗口发起的，或已超时。" + AGAIN_ZH,
    )
