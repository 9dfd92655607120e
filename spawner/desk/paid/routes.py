"""The URLs of the pages and the API of paid instances."""

from __future__ import annotations

from pydantic import BaseModel

from spawner.desk.paid import accounts, admin, api, consents, gate, instances, offers
from spawner.desk.paid.admin_views import PaidAdminView
from spawner.desk.paid.views import ConsentView, PaidView
from spawner.desk.requests import EmptyRequest
from spawner.desk.routes import Answer, Operation, Parameter, Route, errors

ID = (Parameter("id", {"type": "string", "pattern": "^[0-9a-f]{1,32}$"}, "[0-9a-f]{1,32}"),)
SEQ = (Parameter("id", {"type": "integer", "minimum": 0}, "[0-9]{1,15}"),)
OFFER = (
    *ID,
    Parameter("region", {"type": "string"}, "[a-z0-9-]{1,31}"),
    Parameter("instance_type", {"type": "string"}, "[A-Za-z0-9._-]{1,64}"),
)
QUERY = tuple(Parameter(name, {"type": "string"}) for name in ("account", "region", "cpu", "memory", "gpu"))
CONFLICT = errors(CONFLICT="The state has changed since it was read.")
REFUSED = errors(
    BAD_REQUEST="Invalid body or number.",
    FORBIDDEN="Not signed in, or no XSRF token.",
    NOT_FOUND="The user has nothing with this id.",
    SERVICE_UNAVAILABLE="The cloud or JupyterHub does not answer, or an administrator has paused new paid instances.",
)


def _read(summary: str, model: type[BaseModel], *query: Parameter) -> tuple[Operation, ...]:
    return (Operation("get", summary, {200: Answer("The current state.", model), **REFUSED}, query=query),)


def _change(summary: str, model: type[BaseModel]) -> tuple[Operation, ...]:
    answers = {200: Answer("The state after the request.", model), **REFUSED, **CONFLICT}
    return (Operation("post", summary, answers, EmptyRequest),)


PAGES: tuple[Route, ...] = (
    Route("paid", accounts.HomeHandler),
    Route("paid/link", accounts.LinkHandler),
    Route("paid/linked", accounts.LinkedHandler),
    Route("paid/role-template.json", accounts.TemplateHandler),
    Route("paid/accounts/{id}", accounts.AccountHandler, parameters=ID),
    Route("paid/accounts/{id}/unlink", accounts.UnlinkHandler, parameters=ID),
    Route("paid/new/{id}", offers.InstanceTypesHandler, parameters=ID),
    Route("paid/new/{id}/{region}/{instance_type}", offers.LimitsHandler, parameters=OFFER),
    Route("paid/record.json", consents.RecordHandler),
    Route("paid/consents", consents.ConsentsHandler),
    Route("paid/consents/{id}", consents.ConsentHandler, parameters=ID),
    Route("paid/consents/{id}.json", consents.DownloadHandler, parameters=ID),
    Route("paid/consents/{id}/accept", consents.AcceptHandler, parameters=ID),
    Route("paid/consents/{id}/start", consents.BeginHandler, parameters=ID),
    Route("paid/consents/{id}/withdraw", consents.WithdrawHandler, parameters=ID),
    Route("paid/instances/{id}", instances.InstanceHandler, parameters=ID),
    Route(f"paid/instances/({ID[0].pattern})/(stop|delete)", instances.EndHandler, is_pattern=True),
    Route("paid/notices/{id}/seen", instances.SeenHandler, parameters=SEQ),
    Route(f"paid/open/({gate.PAID_SERVER})", gate.OpenHandler, is_pattern=True),
    Route("admin/paid", admin.PaidAdminPage),
    Route("admin/paid/(pause|resume)", admin.SwitchHandler, is_pattern=True),
    Route("admin/paid/audit.jsonl", admin.AuditHandler),
)
API: tuple[Route, ...] = (
    Route(
        "api/paid",
        api.PaidStateHandler,
        _read("Your linked cloud accounts, paid instances and notices", PaidView),
    ),
    Route(
        "api/paid/quotes",
        api.QuotesHandler,
        _read("Current prices of instance types, the cheapest that fits first", api.QuotesView, *QUERY),
    ),
    Route("api/paid/consents", api.ConsentsHandler, _read("All your offers and consents", api.ConsentsView)),
    Route(
        "api/paid/consents/{id}",
        api.ConsentHandler,
        _read("An offer with the text that was shown, and its consent", ConsentView),
        ID,
    ),
    Route("api/paid/consents/{id}/withdraw", api.WithdrawHandler, _change("Withdraw a consent", ConsentView), ID),
    Route(
        "api/paid/instances/{id}/stop",
        api.StopHandler,
        _change("Stop an instance; its disk stays and may be billed", PaidView),
        ID,
    ),
    Route("api/paid/notices/{id}/seen", api.SeenHandler, _change("Mark a notice as seen", PaidView), SEQ),
    Route(
        "api/admin/paid",
        admin.PaidAdminStateHandler,
        _read("All paid instances; administrators only", PaidAdminView),
        old_path="api/operator/paid",
    ),
)
