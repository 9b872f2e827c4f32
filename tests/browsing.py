"""A real browser on a real MLflow server, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
OPTIONS = ("--no-sandbox", "--disable-background-networking", "--disable-gpu")
TIMEOUT_MS = 60_000


def require_browser() -> None:
    """Skip the test, with the reason, if there is no browser or nothing that drives it."""
    if not CHROMIUM.exists():
        pytest.skip(f"no browser {CHROMIUM}: apt-get install chromium")
    if find_spec("playwright") is None:
        pytest.skip("the browser is driven by Playwright, which is not installed: pip install playwright")


@contextmanager
def browser_page() -> Iterator[Any]:
    """An empty page of a browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(OPTIONS))
        page = browser.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        try:
            yield page
        finally:
            browser.close()
