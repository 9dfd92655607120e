"""The default texts: what is true of this software, by the settings and the catalog of an installation.

Each line is in English and in Chinese. `docs/terms.md` says what an operator must add.
"""

from __future__ import annotations

from collections.abc import Iterator

from spawner.catalog import Catalog
from spawner.settings import Isolation, Settings
from spawner.terms_settings import TermsText

Line = tuple[str, str]
"""In English, in Chinese."""


def default_terms(settings: Settings, catalog: Catalog) -> TermsText:
    """The terms."""
    return _joined(_terms(settings, catalog))


def default_privacy(settings: Settings, catalog: Catalog) -> TermsText:
    """What is stored, for how long, and who sees it."""
    return _joined(_privacy(settings, catalog))


def _joined(lines: Iterator[Line]) -> TermsText:
    english, chinese = zip(*lines, strict=True)
    return TermsText(en="\n\n".join(english), zh="\n\n".join(chinese))


def _terms(settings: Settings, catalog: Catalog) -> Iterator[Line]:
    yield "## Your notebook", "## 你的 Notebook"
    yield (
        "Notebooks run on machines that the operator of this platform pays for. There is no promise that one is "
        "available, that it keeps running, or that files survive.",
        "Notebook 运行在由本平台运营方付费的机器上。平台不保证随时有空闲的 Notebook，"
        "不保证其持续运行，也不保证文件得以保留。",
    )
    yield (
        "When a notebook stops, restarts, is idle for too long, or reaches its time limit, all files in it are "
        "deleted. Download what you want to keep.",
        "Notebook 停止、重启、闲置过久或达到时长上限时，其中的所有文件都会被删除。请及时下载需要保留的内容。",
    )
    if catalog.keep.enabled:
        yield (
            f"If you choose so, changed files are kept for {catalog.keep.days} days after a stop that you did not ask "
            "for. They are encrypted, and you can delete them at any time.",
            f"如果你选择保留，在并非由你主动停止的情况下，改动过的文件会加密保留 {catalog.keep.days} 天，"
            "你可以随时删除。",
        )
    yield "## What is not allowed", "## 禁止的行为"
    yield (
        "- Mining cryptocurrency.\n- Attacking other computers, sending spam, or hiding who does.\n"
        "- Running services for others, or sharing your account.\n- Anything that is against the law.",
        "- 挖掘加密货币。\n- 攻击其他计算机、发送垃圾信息，或为此类行为提供掩护。\n"
        "- 对外提供服务，或共享账号。\n- 任何违法行为。",
    )
    yield (
        "Administrators can stop a notebook and ban an account. The account's page then says why, until when, and how "
        "to appeal.",
        "管理员可以停止 Notebook 或封禁账号。被封禁后，页面会说明原因、期限和申诉方式。",
    )
    if settings.paid is not None and not settings.paid.demo:
        yield "## Paid notebooks", "## 付费 Notebook"
        yield (
            "Paid notebooks run in your own cloud account, and your cloud provider bills you for them. None is started "
            "before you have approved its price and limits. You remain responsible for what runs in your account.",
            "付费 Notebook 运行在你自己的云账号中，由云服务商向你收费。未经你确认价格和上限，"
            "不会启动任何付费 Notebook。你对自己账号中运行的内容负责。",
        )


def _privacy(settings: Settings, catalog: Catalog) -> Iterator[Line]:
    days = catalog.limits.keep_history_days
    yield "## What is stored about you", "## 保存哪些与你有关的信息"
    provider = settings.login.has_provider
    identity = (
        "- Your user name, and a hash of your account at the login provider, by which you are recognized."
        if provider
        else "- Your user name.",
        "- 你的用户名，以及用于识别你的登录账号哈希值。" if provider else "- 你的用户名。",
    )
    groups = (
        (
            "\n- Groups, and what the login says for your class of user.",
            "\n- 所属用户组，以及登录信息中决定用户级别的内容。",
        )
        if provider
        else ("\n- Groups that an administrator gives you.", "\n- 管理员为你设置的用户组。")
    )
    channels = (
        (
            "\n- The address for messages that you enter, and whether messages to it arrived.",
            "\n- 你填写的消息接收地址，以及消息是否送达。",
        )
        if settings.channels.is_on
        else ("", "")
    )
    paid = (
        (
            "\n- Linked cloud accounts, your approvals and orders. No key and no password of your cloud account.",
            "\n- 已关联的云账号、你的确认记录和订单。不保存云账号的密钥或密码。",
        )
        if settings.paid is not None
        else ("", "")
    )
    items: list[Line] = [
        identity,
        groups,
        (
            "\n- Your notebooks: machine type, image, example, when each was requested, started and stopped, why it "
            "stopped, and the hours that it used.",
            "\n- 你的 Notebook 记录：机器规格、镜像、示例、申请、启动和停止的时间、停止的原因，以及使用的时长。",
        ),
        (
            "\n- While a notebook runs: how much processor, memory and GPU it uses, and whether it is used. Not what "
            "you write in it.",
            "\n- Notebook 运行期间：处理器、内存和 GPU 的用量，以及是否有人使用。不包括你在其中编写的内容。",
        ),
        (
            "\n- Which texts you accepted, and when. Bans, with their reason.",
            "\n- 你接受过哪些条款及其时间。封禁记录及原因。",
        ),
        channels,
        paid,
    ]
    yield "".join(one for one, _ in items), "".join(one for _, one in items)
    if settings.guard.note:
        yield (
            "Notebooks that look as if they were misused are noted for administrators: by processor use over hours"
            " and, where it can be seen, by names of programs and by ports that were reached.",
            "疑似被滥用的 Notebook 会被记录并提示管理员：依据是长时间的处理器用量，"
            "以及在可见的情况下，程序名称和访问的端口。",
        )
    if settings.kubernetes is None and settings.network.log_days > 0 and settings.isolation is Isolation.BUBBLEWRAP:
        number = f"{settings.network.log_days:g}"
        yield (
            f"Addresses and ports that your notebook connects to are logged for {number} days, to answer reports of "
            "abuse. Contents are not.",
            f"你的 Notebook 连接的地址和端口会记录并保留 {number} 天，用于处理滥用投诉。不记录传输的内容。",
        )
    yield "## For how long", "## 保存多久"
    yield (
        f"Notebooks' records are deleted {days} days after their end. Your name and the other entries stay until you "
        "ask an administrator to delete them. A ban that is in force stays until it ends."
        + (" Approvals and orders of paid notebooks stay, as bills do." if settings.paid else ""),
        f"Notebook 记录在结束 {days} 天后删除。你的名称和其他信息会一直保存，直到你请管理员删除。"
        "生效中的封禁保留至其结束。" + ("付费 Notebook 的确认记录和订单作为账单长期保留。" if settings.paid else ""),
    )
    yield (
        "Logs of the servers contain names and addresses of browsers until they are rotated. Backups keep what was "
        "stored when they were made.",
        "服务器日志包含用户名和浏览器地址，直至日志轮换。备份中保留备份时已有的信息。",
    )
    yield "## Who sees what", "## 谁能看到什么"
    yield (
        "Administrators see everything that is listed above, and can download it. Whoever operates the machines can "
        "technically read the files and the memory of a running notebook, too: keep no secrets in it that you would "
        "not entrust to them.",
        "管理员可以查看并下载以上全部信息。运营这些机器的人员在技术上也能够读取运行中 Notebook 的文件和内存：请勿在其中"
        "存放不愿托付给他们的机密。",
    )
    isolated = settings.kubernetes is not None or settings.isolation is Isolation.BUBBLEWRAP
    yield (
        (
            "Other users see neither your files nor your programs. They see how many notebooks are in use, and "
            "their own place in the queue, but no names. They share processors with you, and can notice how busy a "
            "machine is.",
            "其他用户看不到你的文件和程序。他们能看到正在使用的 Notebook 数量和自己的排队位置，但看不到任何人的名称。"
            "他们与你共用处理器，可以察觉机器的繁忙程度。",
        )
        if isolated
        else (
            "On this platform notebooks are not isolated from each other: other users can read your files and stop "
            "your programs.",
            "本平台的 Notebook 之间没有隔离：其他用户可以读取你的文件，也可以终止你的程序。",
        )
    )
    yield (
        "Cookies are used only for signing in, your language, your time zone, and links that you open. There is no "
        "tracking and no advertising, and pages load nothing from other sites.",
        "Cookie 仅用于登录、语言、时区和你打开的链接。没有跟踪，没有广告，页面不加载任何其他网站的内容。",
    )
    yield "## Your rights", "## 你的权利"
    yield (
        "An administrator of this platform can give you a file with all that is stored about you, and can delete it. "
        "The page History lists your notebooks.",
        "本平台的管理员可以为你导出与你有关的全部信息，也可以将其删除。“使用记录”页面列出了你的 Notebook 记录。",
    )
