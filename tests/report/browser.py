"""A page opened in headless Chromium; tests that need it are skipped where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser. The sandbox is off: it does not start for root, as in containers."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Opened:
    """A page that is ready, and what it complained of or asked the network for."""

    def __init__(self, browser: Any, file: Path, theme: str = "light", script: bool = True) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page = browser.new_page(
            viewport={"width": 1440, "height": 900}, color_scheme=theme, java_script_enabled=script
        )
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())
        if script:
            self.page.wait_for_selector("html[data-ready]", state="attached", timeout=20_000)

    def texts(self, selector: str) -> list[str]:
        """The text of all that a selector finds."""
        return [text.strip() for text in self.page.locator(selector).all_inner_texts()]

    def boxes(self, state: str = "") -> set[str]:
        """The first words of the graph's boxes: `conv6 backward`."""
        labels = (each.get_attribute("aria-label") for each in self.page.locator(f"#graph .box{state}").all())
        return {f"{label.split(', ')[0]} {'backward' if ', backward' in label else 'forward'}" for label in labels}

    def enter(self, label: str) -> None:
        """Open a box of the graph."""
        self.page.locator(f'#graph .box[aria-label^="{label},"]').first.dispatch_event("dblclick")
