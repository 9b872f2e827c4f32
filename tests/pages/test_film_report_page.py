"""The page of a film report: self-contained, with its measurements in tables and drawn on the film."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import plain_film
from reports import LEVEL_UNCERTAINTY, film_with, report_of

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.clinical.measurement import LevelUncertainty
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.data.films import HeldImage
from spondylo_ml.disclaimer import FILM_NOTICE
from spondylo_ml.errors import DataError
from spondylo_ml.film_report.report import film_report
from spondylo_ml.landmarks import Facing, Film, Vertebra
from spondylo_ml.pages.figures.film_picture import FilmPicture, film_picture
from spondylo_ml.pages.film_report_content import MINUS
from spondylo_ml.pages.film_report_page import film_report_page, write_html


def page_of(film: Film, uncertain: bool = False) -> str:
    report = film_report(film, measure_film(film), uncertainty=[LEVEL_UNCERTAINTY] if uncertain else [])
    return film_report_page(report, film.image.read())


def picture_of(film: Film) -> FilmPicture:
    return film_picture(report_of(film), film.image.read())


class _Tables(HTMLParser):
    """Collects the text of all table cells, row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._open:
            self.rows[-1][-1] += data


def rows_of(page: str) -> dict[str, list[str]]:
    """Cells of the first row of each name."""
    tables = _Tables()
    tables.feed(page)
    rows: dict[str, list[str]] = {}
    for name, *cells in tables.rows:
        rows.setdefault(name, cells)
    return rows


def test_each_level_has_a_row_and_absent_values_have_a_footnote() -> None:
    page = page_of(film_with(30.0, -10.0))
    rows = rows_of(page)
    assert rows["L5/S1"] == ["grade II anterolisthesis", "+30.0", "–1"]  # noqa: RUF001
    assert rows["L4/L5"] == ["grade I retrolisthesis", f"{MINUS}10.0", "–1"]  # noqa: RUF001
    assert '<li id="note-1">no pixel spacing is known</li>' in page
    assert rows["L5"] == ["1.00", "1.00"]
    assert page.count(FILM_NOTICE) == 2


def test_uncertainty_columns_appear_only_if_it_was_computed() -> None:
    film = film_with(10.0, 0.0)
    assert "Slip interval" not in page_of(film)
    assert "not computed for these corners" in page_of(film)
    rows = rows_of(page_of(film, uncertain=True))
    assert rows["L5/S1"][-2:] == [
        "+4.0 to +6.5 or +8.0 to +16.0 (90\u00a0%)",
        "indeterminate between 0 and I, referI: 90\u00a0%, 0: 10\u00a0%",
    ]
    assert rows["L4/L5"][-2:] == ["not known", "not known, refer\N{EN DASH}"]


def test_intervals_are_drawn_on_one_scale_for_all_levels() -> None:
    """The scale is from -10 to 30 %: 4 to 6.5 % are 35 to 41.25 % of it, no slip is at 25 %, one of 10 % at 50 %."""
    page = page_of(film_with(10.0, 0.0), uncertain=True)
    assert re.findall(r'class="piece" style="left: ([\d.]+)%; width: ([\d.]+)%"', page) == [
        ("35.0", "6.25"),
        ("45.0", "20.0"),
    ]
    assert re.findall(r'class="(zero|slip)" style="left: ([\d.]+)%"', page) == [("zero", "25.0"), ("slip", "50.0")]


def test_the_heading_is_the_name_of_the_film() -> None:
    film = film_with(10.0)
    report = report_of(film)
    assert "<h1>film-1f</h1>" in film_report_page(report, film.image.read(), "film-1f")
    assert f"<h1>Film {report.film_key}</h1>" in film_report_page(report, film.image.read())


def test_an_ellipse_has_the_axes_of_its_region() -> None:
    """Variances 9 and 4 turned by 30 degrees: half axes of 3 and 2 px."""
    film, turn = film_with(30.0), np.radians(30)
    axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    region = axes @ np.diag([9.0, 4.0]) @ axes.T
    regions = {1: np.stack([region, region, np.full((2, 2), np.nan), region])}
    picture = film_picture(report_of(film), film.image.read(), regions)
    ellipses = [s for s in picture.shapes if s.kind == "ellipse"]
    assert [(e.radii_px, e.angle_deg) for e in ellipses] == [((3.0, 2.0), 30.0)] * 3
    page = film_report_page(report_of(film), film.image.read(), regions_px2=regions)
    assert page.count("<ellipse") == 3
    assert "lies with 90 % probability" in page


def test_an_absent_interval_is_shown_as_not_known() -> None:
    no_interval = LevelUncertainty(
        1, (), None, None, 0.9, {0: 0.3, 5: 0.7}, (0, 1, 2, 3, 4, 5), True, "not known, refer"
    )
    film = film_with(10.0)
    page = film_report_page(film_report(film, measure_film(film), uncertainty=[no_interval]), film.image.read())
    assert rows_of(page)["L5/S1"][-2:] == ["not known", "not known, referV: 70\u00a0%, 0: 30\u00a0%"]
    assert 'class="piece"' not in page


def test_the_page_is_self_contained_and_holds_no_patient_data(tmp_path: Path) -> None:
    film = film_with(10.0)
    text = write_html(report_of(film), film.image.read(), tmp_path / "film.html").read_text(encoding="utf-8")
    without_picture = re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    assert re.findall(r"https?:|<script|<link|url\((?!#)", without_picture) == []
    assert "secret" not in without_picture
    assert "4711" not in without_picture


def test_warnings_and_names_are_escaped() -> None:
    film = film_with(10.0)
    report = film_report(film, measure_film(film), corners_from="<b>model</b>")
    assert "&lt;b&gt;model" in film_report_page(report, film.image.read())


@pytest.mark.parametrize("facing", [Facing.NONE, Facing.UNKNOWN])
def test_the_page_of_an_unmeasurable_film_says_why(facing: Facing) -> None:
    page = page_of(film_with(10.0, facing=facing))
    assert rows_of(page)["L5/S1"][0] == "not measurable"
    assert "anterior" in page
    assert "Disc height index" not in page


def test_the_page_of_a_film_without_vertebrae_shows_the_whole_film() -> None:
    film = plain_film(size_hw=(100, 80))
    assert "No two vertebrae to compare." in page_of(film)
    assert film_picture(film_report(film, measure_film(film)), film.image.read()).size_wh == (80, 100)


def test_the_drawing_is_well_formed_svg() -> None:
    (svg,) = re.findall(r"<svg.*</svg>", page_of(film_with(30.0, -10.0)), re.S)
    tree = ElementTree.fromstring(svg)
    kinds = [element.get("class", "").split() for element in tree.iter("line")]
    assert sum("arrow" in kind for kind in kinds) == 2
    assert sum("plate" in kind for kind in kinds) == 5
    assert len(list(tree.iter("circle"))) == 10
    assert [t.text for t in tree.iter("text") if "%" in (t.text or "")] == ["+30.0 %", "\N{MINUS SIGN}10.0 %"]


def test_the_arrow_runs_along_the_lower_endplate_by_the_slip() -> None:
    """Facing left: the endplate of S1 runs from (200, 500) to (100, 500), the lower one of L5 is 20 px above it.

    The upper endplate of L5 is at y = 400, so that the film is shown from y = 300 (one body depth above) and x = 0.
    """
    picture = picture_of(film_with(30.0))
    (arrow,) = [s for s in picture.shapes if s.kind == "arrow"]
    assert arrow.points == ((200.5, 200.5), (170.5, 200.5))
    assert arrow.grade == 2
    (drop,) = [s for s in picture.shapes if s.kind == "drop"]
    assert drop.points == ((170.5, 180.5), (170.5, 200.5))
    assert picture.size_wh == (400, 301)


def test_a_mirrored_film_is_drawn_mirrored() -> None:
    film = film_with(30.0)
    mirrored = replace(film.mirrored_labels(), image=film.image)
    (arrow,) = [s for s in picture_of(mirrored).shapes if s.kind == "arrow"]
    assert arrow.points == ((199.5, 200.5), (229.5, 200.5))


def test_a_slip_too_small_for_an_arrow_has_none() -> None:
    kinds = [s.kind for s in picture_of(film_with(1.0)).shapes]
    assert "arrow" not in kinds
    assert "drop" in kinds


def test_the_picture_is_cropped_to_the_corners_with_square_pixels() -> None:
    film = replace(film_with(30.0), pixel_aspect=0.5, aspect_given=True)
    picture = picture_of(film)
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(picture.png_base64), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert pixels is not None
    assert pixels.shape[::-1] == picture.size_wh == (200, 301)
    (arrow,) = [s for s in picture.shapes if s.kind == "arrow"]
    assert arrow.points == ((100.25, 200.5), (85.25, 200.5))


def test_a_large_film_is_embedded_at_reduced_size() -> None:
    film = plain_film(vertebrae=(), size_hw=(3000, 1500))
    report = film_report(film, measure_film(film))
    assert film_picture(report, film.image.read()).size_wh == (600, 1200)


def test_pixels_of_another_size_are_refused() -> None:
    film = film_with(10.0)
    with pytest.raises(DataError, match=r"the report is of a film of \(640, 400\) px .*; given \(5, 5\)"):
        film_report_page(report_of(film), np.zeros((5, 5), np.uint8))


@pytest.mark.parametrize(("method", "kinds"), [("endplate", {"drop", "arrow"}), ("posterior_wall", set())])
def test_only_a_slip_along_the_endplate_is_drawn_as_an_arrow(method: str, kinds: set[str]) -> None:
    film = film_with(12.0, 3.0)
    measured = measure_film(film, ClinicalConfig.model_validate({"slip_method": method}))
    report = film_report(film, measured)
    picture = film_picture(report, film.image.read())
    assert {shape.kind for shape in picture.shapes} & {"drop", "arrow"} == kinds
    page = film_report_page(report, film.image.read())
    assert ("Arrow: slip along the lower superior endplate" in page) == (method == "endplate")


@pytest.mark.parametrize("facing", [Facing.LEFT, Facing.RIGHT])
def test_a_film_that_ends_beside_the_spine_has_a_margin_for_the_numbers_of_its_slips(facing: Facing) -> None:
    """The posterior wall lies 10 px from the edge, bodies are 100 px deep; corners move with the picture."""
    whole = film_with(12.0, facing=facing)
    width = 400
    low, high = (0, 210) if facing is Facing.LEFT else (90, width)
    cropped = replace(
        whole,
        image=HeldImage(np.ascontiguousarray(whole.image.read()[:, low:high])),
        size_hw=(640, high - low),
        vertebrae=tuple(Vertebra(v.slot, v.corners_xy - [low, 0.0]) for v in whole.vertebrae or ()),
    )
    picture = film_picture(film_report(cropped, measure_film(cropped)), cropped.image.read())
    for shape in picture.shapes:
        if shape.kind.startswith("slip"):
            (x, _), text_px = shape.points[0], 0.85 * picture.body_px
            start, end = (x, x + text_px) if shape.kind == "slip start" else (x - text_px, x)
            assert start >= 0
            assert end <= picture.size_wh[0]
    png = cv2.imdecode(np.frombuffer(base64.b64decode(picture.png_base64), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert png is not None
    assert png.shape[::-1] == picture.size_wh
    margin = png[:, -20:] if facing is Facing.LEFT else png[:, :20]
    assert margin.max() == 0
