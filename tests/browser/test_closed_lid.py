"""Cells run on the server: their output is kept when the tab is closed, and nothing else is lost by that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.lab import RUN_MS, contents, wait_for_kernel
from tests.browser.visitor import Visitor
from tests.stack import Stack, eventually

LINES = 20
LOOP = f"""
import time
for number in range({LINES}):
    print('line', number, flush=True)
    time.sleep(0.15)
"""

HOLDS_OUTPUT = """
import ipywidgets, os, time
out = ipywidgets.Output()
display(out)
with out:
    print('inside')
    while not os.path.exists('seen.ipynb'):
        time.sleep(0.05)
print('outside')
"""


@dataclass
class Lab:
    """A user's JupyterLab, open in one tab."""

    visitor: Visitor
    page: Page

    def open(self, name: str, *cells: str) -> None:
        """Make a notebook with these code cells, and open it by a double click in the file browser."""
        self.write(name, *cells)
        self.page.get_by_title("Refresh the file browser.").click()
        self.page.locator(".jp-DirListing-item", has_text=name).dblclick()
        expect(self.page.locator(".jp-NotebookPanel:visible .jp-CodeCell")).to_have_count(len(cells))
        wait_for_kernel(self.page)

    def write(self, name: str, *cells: str) -> None:
        """Write a notebook by the contents API, as another program would."""
        status, _ = contents(
            self.page, "PUT", name, {"type": "notebook", "format": "json", "content": notebook(*cells)}
        )
        assert status in (200, 201)

    def menu(self, menu: str, item: str) -> None:
        """Choose an item of the main menu."""
        self.page.get_by_role("menuitem", name=menu, exact=True).click()
        self.page.locator(".lm-Menu-itemLabel").get_by_text(item, exact=True).click()

    def run_all(self) -> None:
        """Run > Run All Cells."""
        self.menu("Run", "Run All Cells")

    def output(self, text: str) -> Locator:
        """An output of the notebook in front that contains a text."""
        return self.page.locator(".jp-NotebookPanel:visible .jp-OutputArea-output", has_text=text)

    def saved(self, name: str) -> list[str]:
        """The outputs of each code cell in the file on disk: text, or JSON of what is none."""
        _, model = contents(self.page, "GET", name)
        return ["".join(map(shown, cell["outputs"])) for cell in model["content"]["cells"]]


def notebook(*cells: str) -> dict[str, Any]:
    """A notebook of code cells for the Python kernel."""
    return {
        "cells": [
            {"cell_type": "code", "id": f"cell-{number}", "source": code.strip(), "metadata": {}, "outputs": [],
             "execution_count": None}
            for number, code in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }  # fmt: skip


def shown(output: dict[str, Any]) -> str:
    """An output as text."""
    if output["output_type"] == "stream":
        return str(output["text"])
    if output["output_type"] == "error":
        return f"{output['ename']}: {output['evalue']}"
    return json.dumps(output["data"])


@pytest.fixture(scope="module")
def lab(chromium: Browser, shared_stack: Stack) -> Iterator[Lab]:
    """One user's JupyterLab for all tests of this module."""
    visitor = Visitor.enter(chromium, shared_stack, "closed-lid")
    visitor.open_desk().close()
    shared_stack.run("closed-lid")
    page = visitor.context.new_page()
    page.goto(f"{visitor.notebook_url}lab")
    page.locator(".jp-DirListing-item").first.wait_for()
    yield Lab(visitor, page)
    visitor.leave()
    # Where JupyterLab loads its widgets after the first message about one, it says so, and asks the kernel for all.
    visitor.expected.append("Comm not found for comm id")
    assert visitor.unexpected == []


def test_the_output_of_a_closed_tab_is_in_the_file_and_in_another_browser(lab: Lab, chromium: Browser) -> None:
    lab.open("lid.ipynb", LOOP, "print('the next cell, too')")
    lab.run_all()
    expect(lab.output("line 2\n")).to_be_visible()
    lab.page.close()
    lab.page = lab.visitor.context.new_page()
    lab.page.goto(f"{lab.visitor.notebook_url}lab?reset")
    lab.page.locator(".jp-DirListing-item").first.wait_for()
    everything = "".join(f"line {number}\n" for number in range(LINES))
    eventually(lambda: lab.saved("lid.ipynb") == [everything, "the next cell, too\n"], what="the whole output on disk")

    other = Visitor.enter(chromium, lab.visitor.stack, lab.visitor.user)
    other.open_desk().close()
    page = other.context.new_page()
    page.goto(f"{lab.visitor.notebook_url}lab/workspaces/other/tree/lid.ipynb")
    last = page.locator(".jp-OutputArea-output", has_text=f"line {LINES - 1}")
    expect(last).to_be_visible()
    assert last.inner_text().split("\n")[:3] == ["line 0", "line 1", "line 2"]
    other.context.close()
    assert other.unexpected == []


def test_displays_widgets_and_long_output_show_as_in_any_jupyterlab(lab: Lab) -> None:
    lab.open(
        "shows.ipynb",
        "shown = display('first', display_id=True)\nshown.update('second')",
        "shown.update('third')",
        "from IPython.display import clear_output\nprint('old')\nclear_output(wait=True)\nprint('new')",
        "import sys\nfor share in (10, 55, 100):\n    sys.stdout.write(f'\\r进度 {share} %')\n    sys.stdout.flush()\n"
        "    import time; time.sleep(0.2)",
        HOLDS_OUTPUT,
        "def show(x=5):\n    print('value', x)\nipywidgets.interact(show, x=(0, 10));",
        "for number in range(100_000): print('line', number)",
        "print('end')",
    )
    lab.run_all()
    expect(lab.output("inside").last).to_be_visible()  # while the cell runs
    lab.write("seen.ipynb")
    expect(lab.output("end")).to_be_visible(timeout=RUN_MS)
    for text in ("inside", "outside", "value 5"):
        expect(lab.output(text).last).to_be_visible()
    saved = lab.saved("shows.ipynb")
    assert saved[0] == json.dumps({"text/plain": "'third'"})
    assert saved[2:4] == ["new\n", "\r进度 100 %".strip("\r")]
    assert saved[4].endswith("outside\n")
    assert "inside" not in saved[4]
    assert "value" not in saved[5].replace("value=5", "")
    assert saved[6] == "".join(f"line {number}\n" for number in range(100_000))


def test_input_interrupt_and_restart_work_and_a_dead_kernel_says_so_in_its_cell(lab: Lab) -> None:
    lab.open(
        "kernel.ipynb",
        "name = input('who? ')\nprint('hello', name)",
        "import time\nprint('sleeps')\ntime.sleep(1000)",
        "print('not reached')",
    )
    lab.run_all()
    answer = lab.page.locator(".jp-NotebookPanel:visible .jp-Stdin-input")
    answer.fill("Ada")
    answer.press("Enter")
    expect(lab.output("hello Ada")).to_be_visible()
    expect(lab.output("sleeps")).to_be_visible()
    lab.menu("Kernel", "Interrupt Kernel")
    expect(lab.output("KeyboardInterrupt").first).to_be_visible()
    prompts = lab.page.locator(".jp-NotebookPanel:visible .jp-CodeCell .jp-InputPrompt")
    expect(prompts).to_have_text(["[1]:", "[2]:", "[ ]:"])

    lab.menu("Run", "Run Selected Cell")
    lab.menu("Kernel", "Restart Kernel…")
    lab.page.get_by_role("button", name="Confirm Kernel Restart").click()
    wait_for_kernel(lab.page)
    expect(prompts.filter(has_text="*")).to_have_count(0)

    lab.open("died.ipynb", "import os\nos.kill(os.getpid(), 9)", "print('not reached')")
    lab.run_all()
    expect(lab.output("KernelDied").first).to_be_visible()
    lab.page.get_by_role("button", name="Ok").click()
    wait_for_kernel(lab.page)
    lab.page.locator(".jp-NotebookPanel:visible .jp-CodeCell").last.click()
    lab.menu("Run", "Run Selected Cell")
    expect(lab.output("not reached")).to_be_visible()


def test_two_tabs_show_the_same_and_a_file_changed_on_disk_is_taken_over(lab: Lab) -> None:
    lab.open("shared.ipynb", "print(1)")
    second = lab.visitor.context.new_page()
    second.goto(f"{lab.visitor.notebook_url}lab/workspaces/second/tree/shared.ipynb")
    there = second.locator(".jp-NotebookPanel:visible .cm-content")
    expect(there).to_have_text("print(1)")
    here = lab.page.locator(".jp-NotebookPanel:visible .cm-content")
    here.click()
    lab.page.keyboard.press("End")
    lab.page.keyboard.type(" # typed")
    expect(there).to_have_text("print(1) # typed")
    lab.page.keyboard.press("Control+z")
    expect(there).to_have_text("print(1)")
    lab.run_all()
    expect(second.locator(".jp-OutputArea-output", has_text="1")).to_be_visible()
    second.close()
    eventually(lambda: lab.saved("shared.ipynb") == ["1\n"], what="the output on disk")

    lab.write("shared.ipynb", "print('changed by a program')")
    expect(here).to_have_text("print('changed by a program')")
    workspace = contents(lab.page, "GET", "")[1]["content"]
    assert [one["name"] for one in workspace if one["name"].startswith(".") or one["name"].endswith(".db")] == []
