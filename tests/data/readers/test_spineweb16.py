"""SpineWeb-16: real films, if available, and invalid tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders import (
    ap_corners,
    landmark_row,
    spineweb_folder,
    write_rows,
)
from reading import corners_of

from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.readers import read_folder
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Facing

REORDERED = "the topmost vertebra is listed last: taken for T1, the others one lower"

# --------------------------------------------------------------------------------------------------- real AP films


@pytest.fixture(scope="module")
def frontal(real_data: Path) -> FilmSet:
    return read_folder(real_data / "spineweb16")


def test_all_481_real_ap_films_are_read_with_17_vertebrae_from_l5_to_t1(frontal: FilmSet) -> None:
    assert frontal.kind == "spineweb16"
    assert len(frontal.films) == 481
    assert frontal.bad_files == ()
    assert {tuple(v.slot for v in f.vertebrae or ()) for f in frontal.films} == {tuple(range(1, 18))}
    assert [v.level for v in frontal.films[0].vertebrae or ()][::16] == ["L5", "T1"]
    assert {f.facing for f in frontal.films} == {Facing.NONE}
    assert frontal.slots.names[0] == "L5"
    assert frontal.slots.names[-1] == "T1"


def test_real_ap_patients_are_grouped_as_films_csv_says(frontal: FilmSet, real_data: Path) -> None:
    header, *rows = [line.split(",") for line in (real_data / "spineweb16" / "films.csv").read_text().splitlines()]
    expected = {Path(row[header.index("filename")]).stem: row[header.index("patient")] for row in rows}
    assert {f.film_id: f.patient for f in frontal.films} == expected
    assert len(set(expected.values())) < 481


def test_remarks_on_the_real_ap_films_are_wrong_outlines_duplicate_bodies_or_reordered_rows(
    frontal: FilmSet,
) -> None:
    assert all(v.present.all() for f in frontal.films for v in f.vertebrae or ()), "corners are kept as given"
    outlines = [n for n in frontal.notes if n.reason.endswith("corners kept as given")]
    overlapping = {Path(n.file).stem for n in frontal.notes if "of the smaller one" in n.reason}
    reordered = [n for n in frontal.notes if n.reason == REORDERED]
    assert (len(outlines), len(reordered), len(frontal.notes)) == (9, 18, 9 + 18 + 8)
    numbers = ("0144", "0237", "0376", "0380", "0397", "0398", "0420", "0445")
    assert overlapping == {f"train_{number}" for number in numbers}


def test_a_row_that_lists_the_topmost_vertebra_last_reads_as_the_row_in_order(tmp_path: Path) -> None:
    root = spineweb_folder(tmp_path / "ap", patients=("a", "b", "c"))
    size_hw = (200, 100)
    in_order = ap_corners(size_hw)
    rows = [landmark_row(corners, size_hw) for corners in (in_order, np.roll(in_order, -1, axis=0), in_order)]
    write_rows(root / "landmarks.csv", rows)
    films = read_folder(root)
    first, second, _ = films.films
    for film, other in zip(first.vertebrae or (), second.vertebrae or (), strict=True):
        assert film.slot == other.slot
        np.testing.assert_allclose(film.corners_xy, other.corners_xy)
    assert [str(n) for n in films.notes] == [f"ap_1.png: {REORDERED}"]


def test_real_ap_levels_rise_from_l5(frontal: FilmSet) -> None:
    for film in frontal.films:
        heights = np.array([np.nanmean(v.corners_xy[:, 1]) for v in film.vertebrae or () if v.present.any()])
        assert heights[0] > heights[-1] + 0.3 * film.size_hw[0]


# ------------------------------------------------------------------------------------------------ SpineWeb, by hand


def test_a_made_spineweb_folder_has_t1_in_slot_17_and_shares_scaled_to_px(spineweb: Path) -> None:
    films = read_folder(spineweb)
    assert films.bad_files == films.notes == ()
    assert [f.patient for f in films.films] == ["a", "a", "b"]
    assert [f.film_id for f in films.films] == ["ap_0", "ap_1", "ap_2"]
    np.testing.assert_allclose(corners_of(films.films[0])[::-1], ap_corners((200, 100)), atol=1e-9)
    assert (films.films[0].vertebrae or ())[-1].level == "T1"


def test_without_films_csv_every_ap_film_is_a_separate_patient_with_a_note(tmp_path: Path) -> None:
    films = read_folder(spineweb_folder(tmp_path))
    assert len({f.patient for f in films.films}) == 3
    assert [str(n) for n in films.notes] == ["films.csv: missing: every film is counted as a separate patient"]


def test_an_ap_film_missing_in_films_csv_is_a_separate_patient_with_a_note(spineweb: Path) -> None:
    write_rows(spineweb / "films.csv", [["patient", "filename"], ["a", "ap_0.png"], ["a", "ap_2.png"]])
    films = read_folder(spineweb)
    assert [f.patient for f in films.films] == ["a", "ap_1.png", "a"]
    assert [str(n) for n in films.notes] == ["ap_1.png: no patient in films.csv: counted as a separate patient"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,group\nap_0.png,a\n", "films.csv: needs the columns filename and patient, it has name, group"),
        ("", "films.csv"),
        ("filename,patient\nap_0.png\n", "films.csv"),
    ],
)
def test_a_films_csv_of_the_wrong_form_is_a_data_error(spineweb: Path, content: str, message: str) -> None:
    (spineweb / "films.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        read_folder(spineweb)


def test_csv_files_of_different_length_are_a_data_error(spineweb: Path) -> None:
    write_rows(spineweb / "filenames.csv", [["ap_0.png"]])
    with pytest.raises(DataError, match=r"filenames.csv has 1 rows and landmarks.csv 3: they must match row by row"):
        read_folder(spineweb)


def test_a_csv_that_is_no_text_is_a_data_error(spineweb: Path) -> None:
    (spineweb / "landmarks.csv").write_bytes(b"\xff\xfe\x81")
    with pytest.raises(DataError, match=r"landmarks.csv: not a text file"):
        read_folder(spineweb)


def test_each_bad_row_of_landmarks_is_collected(tmp_path: Path) -> None:
    names = ["short.png", "nan.png", "text.png", "far.png", "gone.png", "broken.png", "good.png"]
    spineweb_folder(tmp_path, names)
    row = landmark_row(ap_corners((200, 100)), (200, 100))
    rows: list[list[object]] = [list(row) for _ in names]
    rows[0] = rows[0][:-1]
    rows[1][5] = "nan"
    rows[2][5] = "x"
    rows[3][5] = 3.0
    write_rows(tmp_path / "landmarks.csv", rows)
    (tmp_path / "images" / "gone.png").unlink()
    (tmp_path / "images" / "broken.png").write_bytes(b"")
    films = read_folder(tmp_path)
    assert [f.film_id for f in films.films] == ["good"]
    result = {f.file: f.reason + f.detail for f in films.bad_files}
    assert result["short.png"] == "135 numbers in landmarks.csv, 136 are needed (68 x, then 68 y)"
    assert result["nan.png"] == "landmarks must be finite numbers, found nan"
    assert result["text.png"] == "landmarks must be finite numbers, found 'x'"
    assert "a corner at (300," in result["far.png"]
    assert result["gone.png"] == "listed in filenames.csv, but missing in images/"
    assert "not an image that can be read" in result["broken.png"]
    assert len(result) == 6


def test_a_film_listed_twice_is_a_data_error(spineweb: Path) -> None:
    write_rows(spineweb / "filenames.csv", [["ap_0.png"], ["ap_0.png"], ["ap_2.png"]])
    with pytest.raises(DataError, match=r"filenames\.csv.*ap_0\.png"):
        read_folder(spineweb)


def test_an_impossible_ap_body_is_kept_with_a_note(spineweb: Path) -> None:
    corners = ap_corners((200, 100))
    corners[16] = corners[16, [1, 0, 3, 2]]  # L5, head to tail
    write_rows(spineweb / "landmarks.csv", [landmark_row(corners, (200, 100))] * 3)
    films = read_folder(spineweb)
    assert {str(n) for n in films.notes} == {
        f"ap_{i}.png: L5: its left and right corners are exchanged; corners kept as given" for i in range(3)
    }
    for film in films.films:
        np.testing.assert_allclose(corners_of(film)[0], corners[16])
