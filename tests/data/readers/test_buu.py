"""BUU-LSPINE: both views, S1 with two corners, spacing, exchanged points, and invalid tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders import write_rows
from reading import SIZE_HW, corners_of, one_film, reasons, write_film

from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.readers import read_folder
from spondylo_ml.landmarks import Facing, SlotRange
from spondylo_ml.spacing import Spacing

LATERAL, FRONTAL = "0876-F-061Y1", "0876-F-061Y0"


def rows(count: int) -> list[list[object]]:
    """Endplates from L1 down, 20 px apart, from (60, y) to (100, y + 1)."""
    return [[60.0, 40.0 + 20 * i, 100.0, 41.0 + 20 * i, 0] for i in range(count)]


def film(root: Path, view: str = "LA", stem: str | None = None, table: list[list[object]] | None = None) -> Path:
    stem = stem or {"LA": LATERAL, "AP": FRONTAL}[view]
    write_film(root / view / f"{stem}.jpg")
    write_rows(root / view / f"{stem}.csv", rows(11 if view == "LA" else 10) if table is None else table)
    return root


def test_a_lateral_film_has_s1_with_two_corners_and_faces_left(tmp_path: Path) -> None:
    films = read_folder(film(tmp_path))
    assert (films.kind, films.bad_files, films.notes) == ("buu", (), ())
    assert films.slots == SlotRange(0, 6)
    (result,) = films.films
    assert [v.level for v in result.vertebrae or ()] == ["S1", "L5", "L4", "L3", "L2", "L1"]
    corners = corners_of(result)
    np.testing.assert_array_equal(corners[0, :2], [[60, 240], [100, 241]])
    np.testing.assert_array_equal((result.vertebrae or ())[0].present, [True, True, False, False])
    np.testing.assert_array_equal(corners[5], [[60, 40], [100, 41], [60, 60], [100, 61]])
    assert (result.facing, result.patient, result.source, result.levels_from) == (
        Facing.LEFT,
        "buu-0876",
        "buu",
        "label",
    )


def test_an_ap_film_begins_with_l5_and_has_no_facing(tmp_path: Path) -> None:
    films = read_folder(film(tmp_path, "AP"))
    assert films.slots == SlotRange(1, 5)
    (result,) = films.films
    assert [v.slot for v in result.vertebrae or ()] == [1, 2, 3, 4, 5]
    assert all(v.present.all() for v in result.vertebrae or ())
    assert result.facing == Facing.NONE


def test_both_views_of_a_patient_are_one_group(tmp_path: Path) -> None:
    films = read_folder(film(film(tmp_path), "AP"))
    assert {f.patient for f in films.films} == {"buu-0876"}
    assert len(films.films) == 2
    assert films.slots == SlotRange(0, 6)


def test_the_folder_of_one_view_can_be_given_alone(tmp_path: Path) -> None:
    write_rows(tmp_path / "pixel_spacing.csv", [[f"{FRONTAL}.jpg", 0.2]])
    (result,) = read_folder(film(tmp_path, "AP") / "AP").films
    assert result.facing == Facing.NONE
    assert result.spacing == Spacing(0.2, 0.2, "pixel_spacing.csv")
    (tmp_path / "AP").rename(tmp_path / "my films")
    assert read_folder(tmp_path / "my films").films[0].facing == Facing.NONE, "the names say the view too"


def test_a_film_with_another_name_has_an_unknown_facing_and_is_a_separate_patient(tmp_path: Path) -> None:
    (result,) = read_folder(film(tmp_path, stem="mine")).films
    assert (result.facing, result.patient) == (Facing.UNKNOWN, "mine")


def test_points_in_the_wrong_order_are_exchanged_and_listed(tmp_path: Path) -> None:
    table = rows(11)
    table[2] = [100.0, 81.0, 60.0, 80.0, 0]
    films = read_folder(film(tmp_path, table=table))
    assert [str(note) for note in films.notes] == [f"{LATERAL}.csv: x1 > x2 in row 3: points exchanged"]
    np.testing.assert_array_equal(corners_of(films.films[0])[4, :2], [[60, 80], [100, 81]])
    assert films.films[0].facing == Facing.LEFT


def test_if_every_row_is_exchanged_the_facing_is_unknown(tmp_path: Path) -> None:
    table = [[x2, y2, x1, y1, label] for x1, y1, x2, y2, label in rows(11)]
    films = read_folder(film(tmp_path, table=table))
    (note,) = films.notes
    assert note.reason == "every row has x1 > x2: points exchanged; the film may be mirrored, facing unknown"
    assert films.films[0].facing == Facing.UNKNOWN


def test_a_zero_length_endplate_of_s1_is_kept_with_a_note(tmp_path: Path) -> None:
    table = rows(11)
    table[10] = [80.0, 240.0, 80.0, 240.0, 0]
    films = read_folder(film(tmp_path, table=table))
    assert [note.reason for note in films.notes] == ["S1: two of its corners coincide; corners kept as given"]
    np.testing.assert_array_equal(corners_of(films.films[0])[0, :2], [[80, 240], [80, 240]])


# ------------------------------------------------------------------------------------------------------- bad files


def why(root: Path) -> str:
    (reason,) = reasons(read_folder(root))
    return reason


@pytest.mark.parametrize(
    ("view", "count", "message"),
    [
        ("LA", 10, "10 rows, 11 are needed for LA: L1 to L5, then S1 superior"),
        ("AP", 11, "11 rows, 10 are needed for AP: L1 to L5, no S1 on AP films"),
        ("LA", 0, "0 rows, 11 are needed for LA: L1 to L5, then S1 superior"),
    ],
)
def test_a_wrong_number_of_rows_is_bad(tmp_path: Path, view: str, count: int, message: str) -> None:
    assert why(film(tmp_path, view, table=rows(count))) == message


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1.0, 2.0, 3.0, 4.0], "row 2 has 4 fields, 5 are needed (x1,y1,x2,y2,label)"),
        ([1.0, 2.0, 3.0, 4.0, 0, 0], "row 2 has 6 fields, 5 are needed (x1,y1,x2,y2,label)"),
        ([1.0, 2.0, 3.0, 4.0, 7], "row 2: label must be a whole number from 0 to 4, found 7"),
        ([1.0, 2.0, 3.0, 4.0, 0.5], "row 2: label must be a whole number from 0 to 4, found 0.5"),
        ([1.0, 2.0, 3.0, 4.0, ""], "row 2 must be finite numbers, found ''"),
    ],
)
def test_a_row_of_the_wrong_form_is_bad(tmp_path: Path, row: list[object], message: str) -> None:
    table = rows(11)
    table[1] = row
    assert why(film(tmp_path, table=table)) == message


def test_a_film_in_the_folder_of_the_other_view_is_bad(tmp_path: Path) -> None:
    message = "named as a film of view AP (Y0), but is in LA/"
    assert why(film(tmp_path, "LA", stem=FRONTAL)) == message


def test_a_table_that_is_no_text_is_bad(tmp_path: Path) -> None:
    film(tmp_path)
    (tmp_path / "LA" / f"{LATERAL}.csv").write_bytes(b"\xff\xfe\x81")
    assert why(tmp_path) == "not a text file"


# --------------------------------------------------------------------------------------------------------- spacing


def with_spacing(root: Path, table: list[list[object]]) -> FilmSet:
    write_rows(film(root) / "pixel_spacing.csv", table)
    return read_folder(root)


@pytest.mark.parametrize("name", [f"{LATERAL}.jpg", LATERAL])
@pytest.mark.parametrize("header", [[["filename", "pixel_spacing_mm"]], []])
def test_spacing_is_read_by_the_name_of_the_film(tmp_path: Path, name: str, header: list[list[object]]) -> None:
    films = with_spacing(tmp_path, [*header, [name, 0.143]])
    assert films.films[0].spacing == Spacing(0.143, 0.143, "pixel_spacing.csv")
    assert films.bad_files == ()


def test_without_a_table_spacing_is_unknown(tmp_path: Path) -> None:
    assert read_folder(film(tmp_path)).films[0].spacing is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([LATERAL, 0], f"the row of {LATERAL}: pixel spacing must be positive, in mm, found 0.0 x 0.0"),
        ([LATERAL, -1], "pixel spacing must be positive, in mm, found -1.0 x -1.0"),
        ([LATERAL, "nan"], f"the row of {LATERAL} must be finite numbers, found nan"),
        ([LATERAL, "wide"], f"the row of {LATERAL} must be finite numbers, found 'wide'"),
        ([LATERAL], f"the row of {LATERAL} has 1 fields, 2 are needed"),
    ],
)
def test_a_bad_row_of_the_spacing_is_listed_and_ignored(tmp_path: Path, row: list[object], message: str) -> None:
    films = with_spacing(tmp_path, [row])
    assert films.bad_files[0].file == "pixel_spacing.csv"
    assert message in reasons(films)[0]
    assert films.films[0].spacing is None


def test_a_film_with_two_spacings_is_listed(tmp_path: Path) -> None:
    films = with_spacing(tmp_path, [[LATERAL, 0.1], [f"{LATERAL}.jpg", 0.2]])
    assert reasons(films) == [f"the row of {LATERAL}.jpg is not the first row of this film"]


def test_a_spacing_without_its_film_is_a_remark(tmp_path: Path) -> None:
    films = with_spacing(tmp_path, [["elsewhere.jpg", 0.1], [LATERAL, 0.1]])
    assert [str(note) for note in films.notes] == ["elsewhere: in pixel_spacing.csv, but there is no such film"]


def test_an_example_row_of_the_published_form_is_read(tmp_path: Path) -> None:
    table = rows(11)
    table[0] = ["87.2222", "16.0618", "111.472", "16.7665", "0"]
    np.testing.assert_allclose(corners_of(read_folder(film(tmp_path, table=table)).films[0])[5, 1], [111.472, 16.7665])


def test_the_size_of_the_film_is_kept(tmp_path: Path) -> None:
    assert read_folder(one_film("buu", tmp_path)).films[0].size_hw == SIZE_HW
