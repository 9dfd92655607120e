"""Where the pages and the API of the paid path are, below the desk."""

from __future__ import annotations

from tornado.web import RequestHandler

from spawner.desk.paid import accounts, admin, api, consents, instances, offers

ID = "([0-9a-f]{1,32})"
REGION = "([a-z0-9-]{1,31})"
SHAPE = "([A-Za-z0-9._-]{1,64})"


def paid_routes() -> list[tuple[str, type[RequestHandler]]]:
    """Paths as regular expressions. The gate and the way in are `desk.gate`'s."""
    return [
        ("paid", accounts.HomeHandler),
        ("paid/link", accounts.LinkHandler),
        ("paid/linked", accounts.LinkedHandler),
        ("paid/role-template\\.json", accounts.TemplateHandler),
        (f"paid/accounts/{ID}", accounts.AccountHandler),
        (f"paid/accounts/{ID}/unlink", accounts.UnlinkHandler),
        (f"paid/new/{ID}", offers.InstanceTypesHandler),
        (f"paid/new/{ID}/{REGION}/{SHAPE}", offers.LimitsHandler),
        ("paid/record\\.json", consents.RecordHandler),
        ("paid/consents", consents.ConsentsHandler),
        (f"paid/consents/{ID}", consents.ConsentHandler),
        (f"paid/consents/{ID}\\.json", consents.DownloadHandler),
        (f"paid/consents/{ID}/accept", consents.AcceptHandler),
        (f"paid/consents/{ID}/start", consents.BeginHandler),
        (f"paid/consents/{ID}/withdraw", consents.WithdrawHandler),
        (f"paid/instances/{ID}", instances.InstanceHandler),
        (f"paid/instances/{ID}/(stop|delete)", instances.EndHandler),
        ("paid/notices/([0-9]{1,15})/seen", instances.SeenHandler),
        ("admin/paid", admin.PaidAdminPage),
        ("admin/paid/(pause|resume)", admin.SwitchHandler),
        ("admin/paid/audit\\.jsonl", admin.AuditHandler),
        ("api/(?:admin|operator)/paid", admin.PaidAdminStateHandler),
        ("api/paid", api.PaidStateHandler),
        ("api/paid/quotes", api.QuotesHandler),
        ("api/paid/consents", api.ConsentsHandler),
        (f"api/paid/consents/{ID}", api.ConsentHandler),
        (f"api/paid/consents/{ID}/withdraw", api.WithdrawHandler),
        (f"api/paid/instances/{ID}/stop", api.StopHandler),
        ("api/paid/notices/([0-9]{1,15})/seen", api.SeenHandler),
    ]
