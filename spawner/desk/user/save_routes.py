"""The URLs of what would be lost and of kept files."""

from __future__ import annotations

from spawner.desk.requests import EmptyRequest
from spawner.desk.routes import Answer, Operation, Parameter, Route, errors
from spawner.desk.user import save
from spawner.desk.user.save_views import ChangesView, KeepChoiceRequest, KeepView, RestoredView

BUNDLE = Parameter("id", {"type": "string", "pattern": "^[0-9a-f]{16}$"}, "[0-9a-f]{16}")
_READ_ERRORS = errors(FORBIDDEN="Not signed in.", NOT_FOUND="This platform does not keep files.")
_CHANGE_ERRORS = errors(
    BAD_REQUEST="Invalid body.",
    FORBIDDEN="Not signed in, or no XSRF token.",
    NOT_FOUND="Nothing of this id is kept.",
)

ROUTES: tuple[Route, ...] = (
    Route(
        "api/instance/changes",
        save.ChangesHandler,
        (
            Operation(
                "get",
                "Files of your running notebook that would be lost; asks the notebook, for two seconds at most",
                {
                    200: Answer("What it says, or that it does not say.", ChangesView),
                    **errors(FORBIDDEN="Not signed in.", CONFLICT="No notebook is running."),
                },
            ),
        ),
    ),
    Route("keep", save.KeepPage),
    Route("keep/{id}.zip", save.KeepFileHandler, parameters=(BUNDLE,)),
    Route(
        "api/keep",
        save.KeepApiHandler,
        (
            Operation(
                "get", "Your choice about kept files, and what is kept", {200: Answer("Now.", KeepView), **_READ_ERRORS}
            ),
            Operation(
                "post",
                "Choose whether changed files are kept after an end that you did not ask for",
                {200: Answer("After the choice.", KeepView), **_CHANGE_ERRORS},
                KeepChoiceRequest,
            ),
        ),
    ),
    Route(
        "api/keep/{id}/restore",
        save.KeepRestoreHandler,
        (
            Operation(
                "post",
                "Put kept files into your running notebook; replaces nothing that you have changed there",
                {
                    200: Answer("Numbers of files.", RestoredView),
                    **_CHANGE_ERRORS,
                    **errors(
                        CONFLICT="No notebook is running, or it did not take the files.",
                        SERVICE_UNAVAILABLE="The kept files cannot be read.",
                    ),
                },
                EmptyRequest,
            ),
        ),
        (BUNDLE,),
    ),
    Route(
        "api/keep/{id}/delete",
        save.KeepDeleteHandler,
        (
            Operation(
                "post",
                "Delete kept files now",
                {200: Answer("What is left.", KeepView), **_CHANGE_ERRORS},
                EmptyRequest,
            ),
        ),
        (BUNDLE,),
    ),
)
