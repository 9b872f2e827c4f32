"""Each fault of a label is planted in files of every format, and found when they are read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from builders import ap_corners, landmark_row, plain_film, txt_label, write_image, write_label, write_rows

from spondylo_ml.data.audit.checks import audit_films
from spondylo_ml.data.audit.findings import AuditFinding, Severity
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.phantom import phantom_film
from spondylo_ml.data.readers import read_folder
from spondylo_ml.data.writers.dataset import write_dataset
from spondylo_ml.landmarks import Film, FloatArray, SlotRange, vertebrae_from_sacrum

FORMATS = ("mendeley json", "mendeley txt", "coco", "yolo", "buu", "spineweb16")
BLANK = np.random.default_rng(0).integers(0, 255, (400, 200), dtype=np.uint8)

Quads = list[FloatArray]


def reordered(*order: int) -> Callable[[Quads], Quads]:
    return lambda quads: [quad[list(order)] for quad in quads]


def one_changed(index: int, *order: int) -> Callable[[Quads], Quads]:
    return lambda quads: [quad[list(order)] if i == index else quad for i, quad in enumerate(quads)]


def exchanged(quads: Quads) -> Quads:
    return [*quads[:2], quads[3], quads[2], *quads[4:]]


def doubled(quads: Quads) -> Quads:
    """Label the third body from below again as the fourth, two pixels off."""
    return [*quads[:3], quads[2] + 2.0, *quads[3:-1]]


@dataclass(frozen=True)
class Planted:
    """A fault, the check that finds it, and part of the message."""

    change: Callable[[Quads], Quads]
    check: str
    message: str
    severity: Severity = Severity.ERROR


PLANTED = {
    "left and right exchanged": Planted(reordered(1, 0, 3, 2), "corner_order", "left and right corners are exchanged"),
    "top and bottom exchanged": Planted(reordered(2, 3, 0, 1), "corner_order", "superior edge is not the one nearer"),
    "TL, TR, BR, BL": Planted(reordered(0, 1, 3, 2), "corner_order", "whole label .*crosses itself"),
    "TL, BL, BR, TR": Planted(reordered(0, 2, 3, 1), "corner_order", "whole label"),
    "TL, BL, TR, BR": Planted(reordered(0, 2, 1, 3), "corner_order", "whole label"),
    "a quarter turn": Planted(reordered(2, 0, 3, 1), "corner_order", "whole label"),
    "one body crossed": Planted(one_changed(2, 0, 1, 3, 2), "corner_order", "^L[34]: its outline crosses itself"),
    "one body upside down": Planted(one_changed(2, 3, 2, 1, 0), "corner_order", "^L[34]: its superior edge is not"),
    "one body mirrored": Planted(one_changed(2, 1, 0, 3, 2), "corner_order", "^L[34]: its left and right corners"),
    "from the head down": Planted(lambda quads: quads[::-1], "vertebra_order", "the slots run from the head down"),
    "two levels exchanged": Planted(exchanged, "vertebra_order", "lies below"),
    "a body listed twice": Planted(doubled, "overlap", "one body listed twice; if so, all levels above"),
}

LEVELS_NOT_NAMED = {
    "from the head down": "listed from the sacrum up: read from the other end",
    "two levels exchanged": "not listed along the spine: taken in the order of the shortest chain",
}
POINTS_ORDERED = "x1 > x2 in (row .*|every row.*)points exchanged|every row has x1 > x2: points exchanged"
CORRECTED = {
    ("mendeley json", "left and right exchanged"): "those of a mirrored film",
    ("mendeley txt", "left and right exchanged"): "those of a mirrored film",
    **{(name, fault): message for name in FORMATS[:2] for fault, message in LEVELS_NOT_NAMED.items()},
    # A row of the BUU layout is an endplate whose first point is the left one: the reader exchanges those that are not.
    ("buu", "left and right exchanged"): POINTS_ORDERED,
    ("buu", "TL, TR, BR, BL"): POINTS_ORDERED,
    ("buu", "one body crossed"): POINTS_ORDERED,
    ("buu", "one body mirrored"): POINTS_ORDERED,
}
"""What a format's own rules put right; the reader says so, and the film is read as it was before."""


def spine(kind: str) -> Quads:
    """Six bodies, or on an AP film seventeen, from the lowest up."""
    if kind == "spineweb16":
        return list(ap_corners(BLANK.shape)[::-1])
    phantom = next(
        f for f in (phantom_film(5, i, 400) for i in range(99)) if len(f.vertebrae) >= 6 and f.size_hw[1] > 150
    )
    return [v.corners_xy * [200 / phantom.size_hw[1], 400 / phantom.size_hw[0]] for v in phantom.vertebrae[:6]]


def write(kind: str, root: Path, quads: Quads) -> Path:
    """A folder with one film labelled with `quads`, from the lowest up."""
    corners = np.array(quads)
    if kind == "spineweb16":
        folder = root / "images"
        folder.mkdir(parents=True)
        write_image(root / "elsewhere", "test", "one", BLANK).rename(folder / "one.png")
        write_rows(root / "filenames.csv", [["one.png"]])
        write_rows(root / "landmarks.csv", [landmark_row(corners[::-1], BLANK.shape)])
        return root
    if kind == "mendeley txt":
        write_image(root, "train", "one", BLANK)
        write_label(root, "train", "one.txt", txt_label(corners, BLANK.shape))
        return root
    film = plain_film("one", vertebrae_from_sacrum(corners), BLANK.shape, pixels=BLANK)
    films = FilmSet("test", "test", (replace(film, split="train"),), SlotRange(0, 10))
    return write_dataset(films, kind.removesuffix(" json"), root).folder


def read(root: Path) -> tuple[Film, list[AuditFinding]]:
    films = read_folder(root)
    (film,) = films.films
    return film, list(audit_films(films).findings)


def labels(film: Film) -> list[tuple[int, list[list[float]]]]:
    return [(v.slot, v.corners_xy[v.present].round(6).tolist()) for v in film.vertebrae or ()]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_valid_file_has_no_errors(kind: str, tmp_path: Path) -> None:
    _, findings = read(write(kind, tmp_path / "set", spine(kind)))
    assert [str(finding) for finding in findings if finding.severity is Severity.ERROR] == []
    assert [finding.check for finding in findings if finding.check.startswith("reader")] in ([], ["reader_remark"])


@pytest.mark.parametrize("fault", PLANTED)
@pytest.mark.parametrize("kind", FORMATS)
def test_a_fault_in_a_file_is_found_or_corrected_by_the_rules_of_the_format(
    kind: str, fault: str, tmp_path: Path
) -> None:
    planted = PLANTED[fault]
    film, findings = read(write(kind, tmp_path / "set", planted.change(spine(kind))))
    if (message := CORRECTED.get((kind, fault))) is not None:
        intact, _ = read(write(kind, tmp_path / "sound", spine(kind)))
        assert labels(film) == labels(intact)
        check, severities = "reader", {Severity.REMARK, Severity.WARNING}
    else:
        check, severities, message = planted.check, {planted.severity}, planted.message
    matches = [f for f in findings if f.check.startswith(check) and f.severity in severities]
    described = [f for f in matches if re.search(message, f.message)]
    assert described, [str(f) for f in findings]


@pytest.mark.parametrize(
    ("kind", "order", "message"),
    [
        ("mendeley json", (0, 2, 3, 1), "lists them as inferior_right, superior_right, superior_left, inferior_left"),
        ("yolo", (0, 2, 3, 1), "the file lists them as superior_left, inferior_left, inferior_right, superior_right"),
        ("coco", (0, 1, 3, 2), "when superior_left, .* are read as superior_left, superior_right, inferior_right"),
    ],
)
def test_the_reader_names_the_order_that_fits(kind: str, order: tuple[int, ...], message: str, tmp_path: Path) -> None:
    quads = spine(kind)
    film, findings = read(write(kind, tmp_path / "set", reordered(*order)(quads)))
    (remark,) = [f for f in findings if f.check == "reader_remark"]
    assert re.search(message, remark.message)
    expected = [quad[list(order)] for quad in quads]
    np.testing.assert_allclose([v.corners_xy for v in film.vertebrae or ()], expected, err_msg="corners kept as given")
