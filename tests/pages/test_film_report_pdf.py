"""The report of one film as a PDF: one page, legible in print, all of its words from the catalogue."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from builders import plain_film
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from report_language import write_greek
from reports import LEVEL_UNCERTAINTY
from spines import stacked

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.clinical.measurement import format_slip_intervals
from spondylo_ml.evaluation.refusal import NOT_LUMBAR
from spondylo_ml.evaluation.verdict import NOTHING_KNOWN, level_uncertainty
from spondylo_ml.film_report.report import FilmReport, film_report
from spondylo_ml.film_report.report_texts import ReportTexts, read_texts
from spondylo_ml.landmarks import Facing, Film, Vertebra
from spondylo_ml.pages.film_report_page import film_report_page
from spondylo_ml.pages.film_report_pdf import film_report_sheet
from spondylo_ml.pages.printed_sheet import HEIGHT_PT, MARGIN_PT, TEXT_PT, WIDTH_PT, PrintedSheet, text_width, wrapped

MODEL, DIGEST, NAME = "unet, 3", "c0ffee" + "0" * 58, "film-1f"
SLIPS = (10.0, -12.0, 3.0, 30.0, 0.0, 55.0, 1.0)
SIDE = "which side is anterior is uncertain (left with a confidence of 0.71, 0.9 is needed); give the facing"


def film_of(*slips: float) -> Film:
    """A film that shows S1 and a body for each slip."""
    bodies = tuple(Vertebra(v.slot, v.corners_xy + np.array([0.0, 750.0])) for v in stacked(*slips))
    pixels = np.tile(np.linspace(0, 255, 500).astype(np.uint8), (1100, 1))
    return plain_film("secret-4711-F-050Y1", bodies, pixels=pixels, size_hw=(1100, 500), facing=Facing.LEFT)


def report_on(film: Film, n_warnings: int = 0, refusal: str = "", **named: object) -> FilmReport:
    measured = measure_film(film, refusal=refusal, **named)  # type: ignore[arg-type]
    extra = tuple(SIDE for _ in range(n_warnings))
    known = [replace(LEVEL_UNCERTAINTY, upper_slot=level.upper_slot) for level in measured.levels]
    unknown = [level_uncertainty(level.upper_slot, NOTHING_KNOWN, None, None, {}) for level in measured.levels]
    return film_report(
        film,
        replace(measured, warnings=measured.warnings + extra),
        corners_from=MODEL,
        uncertainty=unknown if refusal else known,
    )


CASES = {
    "usual": (2, {}),
    "many warnings": (40, {}),
    "levels not named": (6, {"levels_from": "said by the model", "level_confidence": 0.2}),
    "refused": (0, {"refusal": NOT_LUMBAR, "levels_from": "said by the model"}),
    "no spacing, facing unknown": (1, {"facing": Facing.UNKNOWN, "evidence": 0.1}),
}


def sheet_of(case: str, texts: ReportTexts | None = None) -> PrintedSheet:
    film, (n_warnings, measured) = film_of(*SLIPS), CASES[case]
    report = report_on(film, n_warnings, **measured)
    return film_report_sheet(report, film.image.read(), NAME, DIGEST, texts, refused=case == "refused")


def words_of(sheet: PrintedSheet) -> list[str]:
    return [text.get_text() for text in sheet.figure.findobj(Text) if text.get_text()]


@pytest.mark.parametrize("case", ["usual", "many warnings", "refused"])
def test_the_pdf_is_one_a4_page_without_a_name_of_the_film_or_a_date(case: str, tmp_path: Path) -> None:
    """Nor does the same report make another file."""
    data = sheet_of(case).write(tmp_path / "film.pdf", NAME).read_bytes()
    assert data.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b", data)) == 1
    assert [float(x) for x in re.findall(rb"/MediaBox \[ ([\d. ]+) \]", data)[0].split()] == [0, 0, 595.28, 841.89]
    assert b"/CreationDate" not in data
    assert b"secret" not in data
    assert case != "usual" or sheet_of(case).write(tmp_path / "again.pdf", NAME).read_bytes() == data
    assert not [text for text in words_of(sheet_of(case)) if "secret" in text or "4711" in text]


@pytest.mark.parametrize("case", CASES)
def test_all_text_is_large_enough_within_the_margins_and_over_no_other_text(case: str) -> None:
    figure = sheet_of(case).figure
    figure.set_dpi(72 * 8)  # letters are placed on whole px
    renderer = FigureCanvasAgg(figure).get_renderer()

    def box_pt(artist: Artist) -> Bbox:
        return Bbox(artist.get_window_extent(renderer).get_points() / 8)

    boxes = {text: box_pt(text) for text in figure.texts}
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= TEXT_PT
    assert {to_rgb(text.get_color()) for text in boxes} == {(0.0, 0.0, 0.0)}
    for text, box in boxes.items():
        assert box.x0 >= MARGIN_PT - 1, text
        assert box.x1 <= WIDTH_PT - MARGIN_PT + 1, text
        assert MARGIN_PT / 2 <= box.y0 < box.y1 <= HEIGHT_PT - MARGIN_PT / 2, text
    (axes,) = figure.axes
    picture = box_pt(axes)
    assert picture.width > 100
    assert picture.height > 150
    for one, other in combinations([*boxes.values(), picture], 2):
        lines_apart = one.y1 - 1.5 <= other.y0 or other.y1 - 1.5 <= one.y0
        assert lines_apart or one.x1 <= other.x0 + 0.5 or other.x1 <= one.x0 + 0.5


def test_the_values_of_each_level_are_on_the_sheet() -> None:
    words = words_of(sheet_of("usual"))
    assert {"L5/S1", "+10.0", "\N{MINUS SIGN}12.0", "T11/T12", "+55.0", f"Film {NAME}"} <= set(words)
    assert words.count("+4.0 to +6.5 or +8.0 to") == 7
    text = " ".join(words)
    assert text.count("indeterminate between 0 and I, refer") == 7
    assert f"Model: {MODEL}, SHA-256 {DIGEST}" in text
    assert "Research use only. Not a medical device" in text
    assert text.count("which side is anterior is uncertain") == 2
    assert "grade III anterolisthesis" in text


def test_a_slip_of_zero_has_no_minus_and_the_picture_has_the_signs_of_the_table() -> None:
    """A projection computed in floating point is hardly ever exactly 0."""
    film = film_of(-0.02, -12.0)
    report = report_on(film)
    pieces = replace(report.uncertainty[0], pieces_percent=((-0.04, 3.0),))
    sheet = film_report_sheet(replace(report, uncertainty=(pieces, report.uncertainty[1])), film.image.read())
    (axes,) = sheet.figure.axes
    assert {"+0.0 %", "\N{MINUS SIGN}12.0 %"} <= {text.get_text() for text in axes.texts}
    assert {"+0.0", "\N{MINUS SIGN}12.0", "+0.0 to +3.0 (90\N{NO-BREAK SPACE}%)"} <= set(words_of(sheet))
    assert format_slip_intervals(((-0.04, 3.0), (-0.06, 1.0))) == "+0.0 to +3.0 or -0.1 to +1.0"


def test_what_has_no_room_is_counted() -> None:
    text = " ".join(words_of(sheet_of("many warnings")))
    shown = text.count("which side is anterior is uncertain")
    missing = re.search(r"There was no room for (\d+) more of these lines", text)
    assert missing is not None
    n_warnings = len(report_on(film_of(*SLIPS), 40).measurement.warnings)
    others = n_warnings - 40
    assert shown > 5
    assert shown + int(missing[1]) + others == n_warnings
    assert "There was no room for the angles and discs" in text


def test_a_refused_film_has_its_reason_and_no_corners() -> None:
    sheet = sheet_of("refused")
    text = " ".join(words_of(sheet))
    assert text.count("this does not look like a lateral lumbar film") == 2  # the warning, and the reason of all values
    assert text.count("not known, refer") == 7
    assert "whole film, without corners" in text
    (axes,) = sheet.figure.axes
    assert len(axes.lines) == len(axes.texts) == 0
    assert len(axes.images) == 1


@pytest.mark.parametrize(("source", "dashed"), [(MODEL, True), ("labels", False)])
def test_outlines_of_a_model_are_dashed_and_all_lines_have_dark_edges(source: str, dashed: bool) -> None:
    """Dashes and edges are left where paper shows no colours."""
    film = film_of(10.0)
    report = replace(report_on(film), corners_from=source)
    (axes,) = film_report_sheet(report, film.image.read()).figure.axes
    lines = [line for line in axes.lines if line.get_marker() == "None"]
    edges = [line for line in lines if to_rgb(line.get_color()) == (0.0, 0.0, 0.0)]
    coloured = [line for line in lines if max(to_rgb(line.get_color())) == 1.0 and line.get_linestyle() != ":"]
    assert len(coloured) == 2 * 6  # four sides and two endplates of each body
    assert {line.is_dashed() for line in coloured} == {dashed}
    assert len(edges) == len(coloured) + 1  # and of the projected corner
    assert not any(line.is_dashed() for line in edges)


class _Words(HTMLParser):
    """Collects all text of a page that a person can read, and what its elements show as a hint."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._style = tag == "style"
        self.words += [value or "" for name, value in attrs if name in ("aria-label", "alt", "title")]

    def handle_endtag(self, tag: str) -> None:
        self._style = False

    def handle_data(self, data: str) -> None:
        if not self._style:
            self.words.append(data)


LANGUAGE_FREE = rf"{re.escape(MODEL)}|{DIGEST}|{NAME}|[0-9a-f]{{12,}}|spondylo_ml|SHA-\d+|\b[TLS]\d+\b|\b[IV]+\b|mm|px"
"""What is the same in all languages."""


@pytest.mark.parametrize("case", CASES)
def test_no_word_is_outside_the_catalogue(case: str, tmp_path: Path) -> None:
    """In a language without Latin letters no Latin word is left, on the page and on the sheet."""
    texts = read_texts(write_greek(tmp_path / "el.toml"))
    film, (n_warnings, measured) = film_of(*SLIPS), CASES[case]
    report = report_on(film, n_warnings, **measured)
    page = film_report_page(report, film.image.read(), NAME, texts=texts)
    assert '<html lang="el">' in page
    parser = _Words()
    parser.feed(page)
    for words in (parser.words, words_of(sheet_of(case, texts))):
        left = [re.sub(LANGUAGE_FREE, "", text) for text in words]
        assert [text for text in left if re.search("[A-Za-z]", text)] == []


def test_a_long_word_is_split_and_no_letter_is_lost() -> None:
    text = "one " + "0123456789abcdef" * 4 + " two"
    lines = wrapped(text, 100.0)
    assert len(lines) > 3
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert max(text_width(line, TEXT_PT) for line in lines) <= 100


def test_of_many_levels_the_lowest_are_on_the_sheet_and_the_others_are_counted() -> None:
    """A model of the whole spine: the table leaves room for the picture, the model and the reasons."""
    film = film_of(*[6.0] * 17)
    report = report_on(film)
    pieces = ((-30.0, -12.5), (-5.0, 5.0), (8.0, 16.0))
    wide = [replace(one, pieces_percent=pieces) for one in report.uncertainty]
    words = words_of(film_report_sheet(replace(report, uncertainty=tuple(wide)), film.image.read(), NAME, DIGEST))
    text = " ".join(words)
    missing = re.search(r"There was no room for (\d+) more level", text)
    assert missing is not None
    assert text.count("to +5.0 or +8.0") == 17 - int(missing[1])
    assert {"L5/S1", "L4/L5", "L3/L4"} <= set(words)
    assert f"SHA-256 {DIGEST}" in text
