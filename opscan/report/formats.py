"""Which renderer writes which format of `opscan check` and `check-files`."""

from __future__ import annotations

from opscan.report.outcome import Outcome

DOCUMENTS = ("json", "sarif", "github", "junit", "markdown", "csv", "html")
"""Formats that hold all reports of a command in one text."""


def render(outcome: Outcome, format: str) -> str:
    """The outcome in one of DOCUMENTS, without a line end behind the last line."""
    if format == "json":
        from opscan.report.document import render_json

        return render_json(outcome.reports, outcome.unseen, outcome.stale, outcome.status)
    if format == "sarif":
        from opscan.report.sarif import render_sarif

        return render_sarif(outcome).rstrip("\n")
    if format == "github":
        from opscan.report.github import render_github

        return render_github(outcome).rstrip("\n")
    if format == "junit":
        from opscan.report.junit import render_junit

        return render_junit(outcome).rstrip("\n")
    if format == "markdown":
        from opscan.report.markdown import render_markdown

        return render_markdown(outcome)
    if format == "html":
        from opscan.report.html_page import render_page

        return render_page(outcome.reports, outcome.unseen, outcome.stale).rstrip("\n")
    from opscan.report.rows import render_csv

    return render_csv(outcome).rstrip("\n")
