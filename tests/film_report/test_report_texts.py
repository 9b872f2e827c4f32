"""The catalogue of the report's texts: complete, and the same values in another language."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_language import in_greek_letters, write_greek
from spines import stacked

from spondylo_ml.clinical.measure import WEAK_EVIDENCE, measure_film, measure_vertebrae
from spondylo_ml.clinical.measurement import NAMES_IN_DOUBT, FilmMeasurement, Measure
from spondylo_ml.clinical.slip import SLIP_FAULTS
from spondylo_ml.data import dicom
from spondylo_ml.data.dicom.display import _NO_CONTRAST
from spondylo_ml.data.exposure import Exposure, doubt_on_sign
from spondylo_ml.data.grey_levels import spread_levels
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.disclaimer import FILM_NOTICE
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.refusal import NOT_LUMBAR
from spondylo_ml.evaluation.slips import NOT_UPRIGHT
from spondylo_ml.evaluation.verdict import UNKNOWN
from spondylo_ml.film_report.report_texts import english_texts, in_catalogue, read_texts
from spondylo_ml.landmarks import Facing, Film, Vertebra
from spondylo_ml.spacing import Spacing


def sentences(measured: FilmMeasurement) -> set[str]:
    """All words of a measurement: names, grades, reasons and warnings."""
    found = {*measured.warnings, *(level.grade_name for level in measured.levels)}
    rows = (measured, *measured.levels, *measured.bodies)
    measures = (value for row in rows for value in vars(row).values() if isinstance(value, Measure))
    found |= {value.reason for value in measures if value.reason}
    return found | {body.name for body in measured.bodies if "lowest" in body.name}


def damaged(film: Film, rng: np.random.Generator) -> Iterator[FilmMeasurement]:
    """Measurements of a film whose labels are wrong or incomplete in many ways."""
    bodies = film.vertebrae or ()
    corners = np.array([v.corners_xy for v in bodies])
    swapped = corners.copy()
    swapped[[1, 2]] = swapped[[2, 1]]
    absent = np.where(rng.random((len(bodies), 4, 1)) < 0.2, np.nan, corners)
    crossed = corners[:, [1, 0, 2, 3]]
    turned = corners.copy()
    turned[2] = turned[2, ::-1]
    large, thin, same = (corners.copy() for _ in range(3))
    large[1] = large[1].mean(axis=0) + 4 * (large[1] - large[1].mean(axis=0))
    thin[1, 2:] = thin[1, :2]
    same[2] = same[1] + 1
    for changed in (
        corners,
        swapped,
        absent,
        crossed,
        turned,
        large,
        thin,
        same,
        corners * (1.6, 1),
        corners * (1, 1.6),
        corners * (1.3, 1),
        corners * (1, 1.3),
    ):
        vertebrae = [Vertebra(v.slot, c) for v, c in zip(bodies, changed, strict=True)]
        for facing in (Facing.UNKNOWN, Facing.NONE):
            yield measure_film(replace(film, spacing=None), vertebrae=vertebrae, facing=facing)
        for spacing in (Spacing(0.2, 0.2, "DICOM ImagerPixelSpacing"), Spacing(9.0, 9.0, "header")):
            yield measure_film(replace(film, spacing=spacing), vertebrae=vertebrae)
        yield measure_film(film, vertebrae=vertebrae[1:], levels_from="said by the model")
        yield measure_film(film, vertebrae=[*vertebrae[:2], *vertebrae[3:]], levels_from="said by the model")
        yield measure_film(film, vertebrae=vertebrae, levels_from="said by the model", level_confidence=0.4)
        yield measure_film(film, vertebrae=vertebrae, evidence=0.2)
        yield measure_film(replace(film, pixel_aspect=None), vertebrae=vertebrae)
        yield measure_film(replace(film, pixel_aspect=0.7, aspect_given=True), vertebrae=vertebrae)


def test_every_sentence_of_a_measurement_is_in_the_catalogue() -> None:
    films, rng = phantom_films(2, 5, 256, (), "even").films, np.random.default_rng(0)
    found = {text for film in films for measured in damaged(film, rng) for text in sentences(measured)}
    assert len(found) > 40
    assert {text for text in found if not in_catalogue(text)} == set()


def test_the_fixed_sentences_are_in_the_catalogue() -> None:
    negative = Exposure(200, 0.0, 0.0, 0.5)
    flat = [Exposure(20, 0.0, 0.0, 0.0).poor, Exposure(200, 0.9, 0.0, 0.0).poor, Exposure(200, 0.0, 0.9, 0.0).poor]
    fixed = [FILM_NOTICE, NOT_LUMBAR, WEAK_EVIDENCE, UNKNOWN, NOT_UPRIGHT, *SLIP_FAULTS[1:], _NO_CONTRAST, *flat]
    fixed += [doubt_on_sign(negative, 0.0), doubt_on_sign(negative, -0.5)]
    levels = np.r_[np.zeros(3000), np.full(400, 60000), 30000 + np.arange(6600)].astype(np.uint16).reshape(100, 100)
    fixed += spread_levels(levels)[1]
    assert [text for text in fixed if not in_catalogue(text)] == []


def remarks_in(path: Path) -> Iterator[str]:
    """The texts that a module adds to the remarks on a film's header, with a letter for each value."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_remark":
            (text,) = node.args
            if isinstance(text, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "x" for part in text.values)
            elif isinstance(text, ast.Constant):
                yield text.value


def test_the_remarks_on_dicom_headers_are_in_the_catalogue() -> None:
    found = {text for path in Path(dicom.__file__).parent.glob("*.py") for text in remarks_in(path)}
    assert len(found) > 15
    assert {text for text in found if not in_catalogue(text)} == set()


@pytest.mark.parametrize(
    ("english", "values"),
    [
        ("no pixel spacing is known", ()),
        ("grade II anterolisthesis", ("II",)),
        ("facing inferred: left, with a confidence above 0.99", ("0.99",)),
        ("T12's outline crosses itself: not measured there", ("T12",)),
        ("indeterminate between 0, I and III, refer", ("0", "I", "III")),
        ("no corners of lowest visible + 2 and lowest visible", ("2",)),
        (
            "the sacrum was not identified (said by the model; by its shape, the lowest vertebra is S1 with a "
            "probability of 0.10)",
            ("0.10",),
        ),
        ("the sacrum was not identified (S1 is absent; the lowest visible vertebra may be L5)", ("L5",)),
        ("between L4 and L5 a vertebra was skipped, so that names from there up are in doubt", ("L4", "L5")),
    ],
)
def test_a_sentence_is_translated_with_its_values(english: str, values: tuple[str, ...], tmp_path: Path) -> None:
    """Values stay as they are; all else, words within words too, is in the other language."""
    expected = in_greek_letters(english)
    for value in values:
        expected = expected.replace(in_greek_letters(value), value)
    assert read_texts(write_greek(tmp_path / "el.toml")).say(english) == expected


def test_english_sentences_stay_as_they_are(tmp_path: Path) -> None:
    assert english_texts().say("something that no catalogue has") == "something that no catalogue has"
    assert read_texts(write_greek(tmp_path / "el.toml")).say("not in {any} catalogue") == "not in {any} catalogue"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"other": "x"}, r"1 text\(s\) do not correspond to those of en.toml: page.other is not in the English"),
        ({"title": "x"}, "page.title needs the values name in braces, and no others"),
        ({"title": "{name} {name}"}, "page.title needs the values name in braces"),
        ({"title": "{name.__class__}"}, "page.title needs the values name"),
        ({"levels": "{"}, r"page.levels needs the values \(none\)"),
    ],
)
def test_a_catalogue_that_does_not_correspond_is_refused(changes: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_texts(write_greek(tmp_path / "el.toml", changes))


def test_a_missing_text_and_a_file_that_is_no_catalogue_are_refused(tmp_path: Path) -> None:
    path = write_greek(tmp_path / "el.toml")
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("warnings =")]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match=r"page.warnings is missing.*Copy .*en.toml"):
        read_texts(path)
    path.write_text("levels = ", encoding="utf-8")
    with pytest.raises(DataError, match="the texts of the report cannot be read"):
        read_texts(path)
    with pytest.raises(DataError, match="the texts of the report cannot be read"):
        read_texts(tmp_path / "absent.toml")


def test_sentences_on_lost_discs_gaps_and_names_that_change_are_in_the_catalogue() -> None:
    bodies = [v.corners_xy for v in stacked(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)]
    crossed = bodies[2].copy()
    crossed[0, 1] = bodies[3][2:, 1].mean() - 20.0
    lost = measure_vertebrae([Vertebra(s, crossed if s == 2 else c) for s, c in enumerate(bodies)], Facing.LEFT)
    gap = measure_vertebrae([Vertebra(s, c) for s, c in enumerate(bodies[:2] + bodies[3:])], Facing.LEFT)
    texts = [*lost.warnings, *(body.wedge_ratio.reason for body in lost.bodies), *gap.warnings]
    texts += [level.slip.reason for level in gap.levels]
    changing = "on 2 of 3 parts of the film the network does not give the same vertebrae the same names"
    texts.append(f"the levels are uncertain: {changing}")
    assert any("where a disc should be: their level" in text for text in texts)
    assert any(NAMES_IN_DOUBT in text for text in texts)
    assert {text for text in texts if text and not in_catalogue(text)} == set()
