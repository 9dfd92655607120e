"""JupyterLab, operated in the browser."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

RUN_MS = 60_000


def wait_for_kernel(page: Page) -> None:
    """Wait until the kernel of the open notebook is idle."""
    expect(page.get_by_text(re.compile(r"Python 3 \(ipykernel\) \| (Idle|空闲)"))).to_be_visible(timeout=RUN_MS)


def run_all(page: Page) -> Locator:
    """Run > Run All Cells, and wait for the output of the last code cell. Returns the notebook."""
    wait_for_kernel(page)
    page.get_by_role("menuitem", name=re.compile("^(Run|运行)$")).click()
    page.get_by_role("menuitem", name=re.compile("^(Run All Cells|运行所有单元格)$")).click()
    notebook = page.locator(".jp-Notebook")
    last = notebook.locator(".jp-CodeCell").last.locator(".jp-InputPrompt")
    expect(last).to_have_text(re.compile(r"\[\d+\]:"), timeout=RUN_MS)
    errors = page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").all_text_contents()
    assert not errors, errors
    return notebook


def get(page: Page, path: str) -> Any:
    """GET from Jupyter's REST API, with the page's cookies."""
    return page.evaluate(
        """async (path) => {
          const token = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/)[1];
          const root = location.pathname.split("/lab")[0];
          return await (await fetch(`${root}/api/${path}`, { headers: { "X-XSRFToken": token } })).json();
        }""",
        path,
    )


def contents(page: Page, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """Call Jupyter's contents API from the page, with its cookies and XSRF token. Returns the status and the body."""
    return tuple(
        page.evaluate(
            """async ([method, path, body]) => {
              const root = location.pathname.split("/lab")[0];
              const token = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/)[1];
              const answer = await fetch(`${root}/api/contents/${path}`, {
                method, headers: { "X-XSRFToken": token, "Content-Type": "application/json" },
                body: body && JSON.stringify(body),
              });
              return [answer.status, answer.ok ? await answer.json() : null];
            }""",
            [method, path, body],
        )
    )
