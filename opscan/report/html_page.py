"""A report as one page: HTML with its style, script and data in it, and nothing fetched from anywhere.

The script builds all that it shows with textContent, and a policy in the page lets only that very script run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib import resources

from opscan import __version__
from opscan.formats.text import printable, printable_prose
from opscan.report.html_data import page_data
from opscan.report.html_safe import json_in_script
from opscan.report.outcome import StaleWaiver, Unseen
from opscan.report.report import Report
from opscan.report.words import short_path

_SCRIPTS = ("dom.js", "step.js", "layout.js", "graph.js", "tree.js", "findings.js", "page.js")
_MOST_WITHOUT_SCRIPT = 50
"""Findings up to which the terminal's table is in the page too, for readers without scripts."""


def render_page(reports: Sequence[Report], unseen: Sequence[Unseen] = (), stale: Sequence[StaleWaiver] = ()) -> str:
    """All reports as one self-contained HTML document, with what was not looked at and the stale waivers."""
    title = ", ".join(report.target for report in reports) or "nothing scanned"
    script = _asset(*_SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"
    beside = [["not looked at" if each.wanted else "skipped", f"{each.target}: {each.why}"] for each in unseen]
    beside += [["stale waiver", f"{short_path(str(each.waiver.config))}: {each.words}"] for each in stale]
    data = json_in_script({"reports": [page_data(report) for report in reports], "beside": beside})
    plain = "\n\n\n".join([*map(_plain, reports), *(": ".join(each) for each in beside)])
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="opscan {escape(__version__)}">
<title>{escape(printable(title))} - opscan</title>
<style>
{_asset("page.css")}</style>
</head>
<body>
{_asset("page.html")}<noscript><pre>{escape(printable_prose(plain))}</pre></noscript>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def _plain(report: Report) -> str:
    return report.to_text(width=100) if len(report.findings) <= _MOST_WITHOUT_SCRIPT else f"{report!r}"


@cache
def _asset(*names: str) -> str:
    folder = resources.files("opscan.report") / "assets"
    return "".join((folder / name).read_text(encoding="utf-8") for name in names)
