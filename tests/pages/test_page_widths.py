"""Every page fits into a narrow window, as in MLflow's viewer of artefacts."""

from __future__ import annotations

from pathlib import Path

import pytest
from browsing import browser_page, require_browser
from sample_pages import PAGES

WIDTH_PX = 700
NAME = "unet lr2e-3 s1.0 #3 1a2b3c4d"
OVERFLOW = """() => [...document.querySelectorAll("body *")]
  .filter(e => !e.closest("svg, .scroll") && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(e => e.tagName + " " + e.className + " " + e.textContent.slice(0, 60))"""
"""What reaches beyond the right edge; wide tables scroll in a box of their own."""


@pytest.mark.slow
def test_no_page_is_wider_than_its_window(tmp_path: Path) -> None:
    require_browser()
    too_wide = {}
    with browser_page() as page:
        page.set_viewport_size({"width": WIDTH_PX, "height": 900})
        for kind, page_of in PAGES.items():
            file = tmp_path / f"{kind}.html"
            file.write_text(page_of(NAME), encoding="utf-8")
            page.goto(file.as_uri())
            if beyond := page.evaluate(OVERFLOW):
                too_wide[kind] = beyond
        page.set_content('<p style="width: 2000px">wider than the window</p>')
        assert page.evaluate(OVERFLOW) != []
    assert too_wide == {}
