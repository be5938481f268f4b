"""The pictures of the README: two reports as Chromium shows them. `python benchmarks/screenshots.py` writes them anew.

Needs the test extra (playwright; Pillow comes with matplotlib) and a Chromium.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image
from torch import nn

import opscan
from opscan.report.report import Report
from tests.report.browser import Opened, chromium

DOCS = Path(__file__).parents[1] / "docs"
COLOURS = 160


def cnn() -> Report:
    return opscan.check("opscan.examples.cnn:CNN_v2", torch_version="1.8.1", run=False)


def transformer() -> Report:
    with torch.device("meta"):
        layer = nn.TransformerEncoderLayer(256, 8, 1024, dropout=0.0, batch_first=True)
        return opscan.check(nn.TransformerEncoder(layer, 6), (torch.empty(8, 1024, 256),), run=False)


PICTURES = (
    ("cnn_v2.png", cnn, "light", ("document.querySelector('.finding').open = true",), "", 1060),
    ("cnn_v2_graph.png", cnn, "light", ("document.querySelector('[aria-label=Fit]').click()",), "#model", 1130),
    ("transformer.png", transformer, "dark", (), "#model", 780),
)


def take(browser: object, report: Report, theme: str, acts: Sequence[str], part: str, height: int) -> bytes:
    """A PNG of a part of the page, or of its top, in a window of `height` pixels."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "report.html")
        file.write_text(report.to_html(), encoding="utf-8")
        page = Opened(browser, file, theme=theme).page
        page.set_viewport_size({"width": 1280, "height": height})
        page.wait_for_timeout(300)
        for act in acts:
            page.evaluate(act)
        shot: bytes = page.locator(part).screenshot() if part else page.screenshot()
        page.close()
    return shot


def main() -> None:
    with chromium() as browser:
        for name, scan, theme, acts, part, height in PICTURES:
            shot = take(browser, scan(), theme, acts, part, height)
            Image.open(BytesIO(shot)).convert("RGB").quantize(COLOURS).save(DOCS / name, optimize=True)


if __name__ == "__main__":
    main()
