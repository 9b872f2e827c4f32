"""The gallery of `predict`: its order, its filter, and its links."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from spondylo_ml.pages.gallery_page import THUMBNAIL_HEIGHT_PX, gallery_film, gallery_page, headline, thumbnail_of


def level(name: str, slip: float | None, low: float | None, high: float | None, refer: bool = False) -> dict[str, Any]:
    return {
        "level": name, "slip_percent": slip, "grade_name": "grade", "low_percent": low, "high_percent": high,
        "refer": refer, "verdict": "not known, refer" if refer else "grade 0",
    }  # fmt: skip


def row(name: str, *levels: dict[str, Any], error: str | None = None) -> dict[str, Any]:
    return {"film": name, "error": error, "slips": list(levels), "warnings": ["one"]}


ROWS = (
    row("sure", level("L5/S1", 2.0, 0.0, 4.0), level("L4/L5", -12.0, -15.0, -9.0)),
    row("wide", level("L5/S1", 1.0, -10.0, 20.0)),
    row("unknown", level("L5/S1", 5.0, None, None, refer=True)),
    row("broken", error="not an image"),
    row("empty"),
)


def test_a_film_has_its_largest_slip_and_its_widest_interval() -> None:
    sure, wide, unknown, broken, empty = (gallery_film(one) for one in ROWS)
    assert (sure.slip_percent, sure.width_percent, sure.refer) == (-12.0, 6.0, ())
    assert sure.slip_text == "L4/L5 \N{MINUS SIGN}12.0 %, grade"
    assert wide.width_percent == 30.0
    assert (unknown.width_percent, unknown.refer) == (math.inf, ("L5/S1: not known, refer",))
    assert broken.error == "not an image"
    assert math.isnan(empty.slip_percent)
    assert math.isnan(empty.width_percent)
    assert empty.slip_text == "no slip is measurable"
    assert empty.refer == ("no level was found: refer the film",)


def test_levels_with_one_verdict_share_a_line_and_unnamed_ones_are_counted() -> None:
    named = row("a", *(level(name, 5.0, None, None, refer=True) for name in ("L5/S1", "L4/L5")))
    assert gallery_film(named).refer == ("L5/S1, L4/L5: not known, refer",)
    names = ("lowest visible + 1/lowest visible", "lowest visible + 2/lowest visible + 1")
    unnamed = row("a", *(level(name, None, None, None, refer=True) for name in names))
    assert gallery_film(unnamed).refer == ("2 unnamed levels: not known, refer",)


def test_the_headline_counts_the_films_with_a_level_to_refer_and_those_without_a_result() -> None:
    assert headline(3, 0, 0) == "No film has a level to refer."
    assert headline(1, 1, 0) == "1 of 1 film has a level to refer."
    assert headline(5, 2, 1) == "2 of 5 films have a level to refer. 1 without a result."


def test_films_without_a_result_come_first_then_the_least_certain() -> None:
    page = gallery_page([gallery_film(one, f"reports/{one['film']}.html") for one in ROWS], "a model")
    assert re.findall('data-name="(.*?)"', page) == ["broken", "empty", "unknown", "wide", "sure"]
    assert re.findall('data-slip="(.*?)"', page) == ["0.0", "0.0", "5.0", "1.0", "12.0"]
    assert "only films with a level to refer (2)" in page
    assert "<b>2 of 5 films have a level to refer. 1 without a result.</b>" in page
    assert page.count('class="film refers"') == 2
    assert 'href="reports/wide.html"' in page
    assert "reports/broken.html" not in page


def test_a_thumbnail_is_a_small_copy_of_the_file(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((960, 480, 3), 90, np.uint8))
    uri = thumbnail_of(tmp_path / "a.png")
    assert uri.startswith("data:image/jpeg;base64,")
    assert len(uri) < 10_000
    assert THUMBNAIL_HEIGHT_PX == 240
    assert thumbnail_of(tmp_path / "absent.png") == ""
