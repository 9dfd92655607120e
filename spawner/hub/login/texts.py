"""What the login's pages say, in English and Chinese."""

from __future__ import annotations

from html import escape

from spawner.hub.login.pages import both, in_both

AGAIN = '<a href="/hub/oauth_login">Sign in again</a>.'
AGAIN_ZH = '<a href="/hub/oauth_login">重新登录</a>。'


def login_page(title: str) -> str:
    """The login page's content, a Jinja template of JupyterHub's."""
    shown = escape(title).replace("{", "&#123;").replace("}", "&#125;")
    said = in_both(f"Sign in with {shown}", f"使用 {shown} 登录")
    return (
        f"<h1>{in_both('Sign in', '登录')}</h1>"
        f'<p><a class="button primary large" href="{{{{ authenticator_login_url | e }}}}"><span>{said}</span></a></p>'
    )


def not_admitted(name: str, title: str) -> str:
    """The provider knows the account, and the settings do not admit it."""
    other = "/hub/oauth_login?another=1"
    return both(
        "You signed in to {title} as {name}, but this account has no access to this platform. Ask an administrator for "
        f'access, or <a href="{other}">sign in with another account</a>.',
        "你在 {title} 的身份是 {name}，但此账号无权使用本平台。请联系管理员，"
        f'或<a href="{other}">使用其他账号登录</a>。',
        name=name,
        title=title,
    )


NAME_TAKEN = (
    "The name {name} is already used by another account. Ask an administrator to rename or delete the user {name}.",
    "用户名 {name} 已被另一个账号使用。请联系管理员重命名或删除用户 {name}。",
)


def name_taken(name: str) -> str:
    """The user of this name belongs to another account of the provider. The desk says the same of `NameTaken`."""
    return both(*NAME_TAKEN, name=name)


def plain_name_taken(name: str) -> str:
    """`name_taken` for a login form, which shows text and no HTML."""
    return " ".join(text.format(name=name) for text in NAME_TAKEN)


def unknown_hub(hub: str) -> str:
    """The person's hub is another one, and the settings of this one do not name it."""
    return both(
        "Your account is on another server of this platform. Contact the administrator: the address of {hub} is not in "
        "the settings.",
        "你的账号位于本平台的另一台服务器上。请联系管理员：设置中没有 {hub} 的地址。",
        hub=hub,
    )


def provider_fails(title: str) -> str:
    """The provider is away, slow, or answers rubbish."""
    return both(
        "{title} is not responding correctly, so nobody can sign in right now. Running notebooks are not affected, and "
        f"users who are signed in stay signed in. Try again in a few minutes: {AGAIN}",
        "{title} 未正常响应，暂时无法登录。正在运行的 Notebook 不受影响，已登录的用户保持登录状态。"
        f"请几分钟后再试：{AGAIN_ZH}",
        title=title,
    )


def cannot_log_in(title: str) -> str:
    """The provider has said no to us, or what it said about the account is not enough."""
    return both(
        "{title} did not complete this sign-in. " + AGAIN + " If it fails again, contact the administrator.",
        "{title} 未完成此次登录。" + AGAIN_ZH + "如果再次失败，请联系管理员。",
        title=title,
    )


def not_agreed(title: str) -> str:
    """The user has pressed "cancel" at the provider."""
    return both(
        "You did not allow signing in with {title}, so you are not signed in. " + AGAIN,
        "你没有同意使用 {title} 登录，因此尚未登录。" + AGAIN_ZH,
        title=title,
    )


def begin_again() -> str:
    """The answer of the provider belongs to no login that this browser has begun."""
    return both(
        "This sign-in was started in another window or has expired. " + AGAIN,
        "此次登录是在另一个窗口中开始的，或已过期。" + AGAIN_ZH,
    )
