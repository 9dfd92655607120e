"""What is said about invitations and about days that are full, in English and Chinese."""

from __future__ import annotations

from spawner.hub.login.pages import both, in_both
from spawner.ledger.people.newcomers import Refused

PAGE = "/hub/invitation"
LINK, LINK_ZH = f'<a href="{PAGE}">Enter an invitation</a>.', f'<a href="{PAGE}">输入邀请码</a>。'
SENTENCES = {
    Refused.UNINVITED: (
        "New accounts need an invitation, and {name} is a new account here.",
        "新账号需要邀请码，{name} 在本平台是新账号。",
    ),
    Refused.UNKNOWN_CODE: (
        "This invitation is not valid. A code has 32 digits and letters from a to f.",
        "此邀请码无效。邀请码由 32 位数字和 a 至 f 的字母组成。",
    ),
    Refused.USED: (
        "This invitation was already used: each is for one account. Ask for another one.",
        "此邀请码已被使用，每个邀请码仅限一个账号。请另行索取。",
    ),
    Refused.EXPIRED: ("This invitation has expired. Ask for a new one.", "此邀请码已过期，请索取新的邀请码。"),
    Refused.REVOKED: (
        "This invitation was revoked. Ask an administrator for another one.",
        "此邀请码已被撤销，请联系管理员。",
    ),
    Refused.FULL_DAY: (
        "No more new accounts are accepted today. Try again after {tomorrow}, or ask an administrator for an "
        "invitation. Accounts that were used here before can sign in as usual.",
        "今日新账号名额已满。请在 {tomorrow} 之后再试，或向管理员索取邀请码。曾在本平台使用的账号可照常登录。",
    ),
    Refused.FULL_NETWORK: (
        "No more new accounts are accepted from your network today. Try again after {tomorrow}, or ask an "
        "administrator for an invitation. Accounts that were used here before can sign in as usual.",
        "今日来自你所在网络的新账号名额已满。请在 {tomorrow} 之后再试，或向管理员索取邀请码。"
        "曾在本平台使用的账号可照常登录。",
    ),
}
TOO_MANY = (
    "Too many invalid invitation codes from your address. Try again in {minutes} min.",
    "来自你的地址的无效邀请码过多，请在 {minutes} 分钟后再试。",
)


def sentence(why: Refused) -> str:
    """HTML of the reason, for the page of invitations."""
    return both(*SENTENCES[why])


def refusal(why: Refused, *, name: str, tomorrow: str) -> str:
    """HTML of the refusal at the end of a login, with the way to the page of invitations."""
    english, chinese = SENTENCES[why]
    return both(f"{english} {LINK}", chinese + LINK_ZH, name=name, tomorrow=tomorrow)


def on_login_page() -> str:
    """A line of the login page where accounts come by invitation. A Jinja template of JupyterHub's, as that page is."""
    said = in_both(
        f'New here? <a href="{PAGE}">Enter your invitation</a>.', f'初次使用？请先<a href="{PAGE}">输入邀请码</a>。'
    )
    return f"<p>{said}</p>"
