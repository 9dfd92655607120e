"""What a kernel that a user starts says, and does not say, about fonts."""

from __future__ import annotations

import subprocess
import sys

from spawner.instance.kernels import FONTS, with_safe_path


def test_a_bold_label_in_a_font_for_chinese_brings_no_warning() -> None:
    command = with_safe_path([sys.executable, "-m", "ipykernel_launcher"])
    (code,) = [word for word in command if "runpy" in word]
    said = (
        "log = logging.getLogger('matplotlib.font_manager')\n"
        "text = 'findfont: Failed to find font weight %s for %s, now using %s.'\n"
        f"log.warning(text, 'bold', {FONTS[0]!r}, 400)\n"
        "log.warning(text, 'bold', 'My Font', 400)\n"
        "log.warning('findfont: Font family %s not found.', ['My Font'])\n"
    )
    before = code.partition("runpy.run_module")[0]
    done = subprocess.run([sys.executable, "-c", f"{before}\n{said}"], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == [
        "findfont: Failed to find font weight bold for My Font, now using 400.",
        "findfont: Font family ['My Font'] not found.",
    ]
