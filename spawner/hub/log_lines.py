"""JupyterHub's own form of log lines, in the colours of its terminal, with what each line is about."""

from __future__ import annotations

import copy
import logging

from jupyterhub.log import CoroutineLogFormatter

from spawner import logs


class ContextFormatter(CoroutineLogFormatter):
    """Ends each message with `[request=… person=… instance=…]`, as `logs.TextFormatter` does."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, with its traceback."""
        record = copy.copy(record)
        record.msg, record.args = record.getMessage() + logs.context(), None
        return str(super().format(record))
