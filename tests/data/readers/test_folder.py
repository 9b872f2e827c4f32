"""Plain folders of films: all file formats, other contents, and names that must not appear in runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from builders import write_rows
from reading import SIZE_HW, reasons, write_film

from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers import read_folder
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Facing
from spondylo_ml.spacing import Spacing


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".PNG", ".JPG"])
def test_a_film_of_each_kind_is_read_without_labels(tmp_path: Path, suffix: str) -> None:
    write_film(tmp_path / f"a{suffix}")
    films = read_folder(tmp_path)
    assert (films.kind, films.bad_files, films.notes) == ("folder", (), ())
    (film,) = films.films
    assert (film.labelled, film.size_hw, film.facing, film.split) == (False, SIZE_HW, Facing.UNKNOWN, None)
    assert film.image.read().shape == SIZE_HW


def test_pseudonyms_of_films_are_stable(tmp_path: Path) -> None:
    write_film(tmp_path / "Jane Roe.png")
    (film,) = read_folder(tmp_path).films
    assert re.fullmatch(r"anon-[0-9a-f]{16}", film.film_id)
    assert film.film_id == film.patient == pseudonym("Jane Roe")
    (tmp_path / "Jane Roe.png").rename(tmp_path / "Jane Roe.bmp")
    write_film(tmp_path / "Jane Roe.bmp")
    assert read_folder(tmp_path).films[0].film_id == film.film_id


def test_findings_name_the_file_on_the_terminal_and_its_pseudonym_in_runs(tmp_path: Path) -> None:
    write_film(tmp_path / "good.png")
    (tmp_path / "Jane Roe.png").write_bytes(b"")
    (tmp_path / "John Doe.doc").write_bytes(b"")
    films = read_folder(tmp_path)
    (invalid,), (note,) = films.bad_files, films.notes
    assert str(invalid).startswith(f"Jane Roe.png ({pseudonym('Jane Roe')}): not an image")
    assert invalid.in_run().startswith(f"{pseudonym('Jane Roe')}: not an image")
    assert note.in_run() == f"{pseudonym('John Doe')}: no film that is read here: left out"


def test_folders_within_are_listed_and_not_read(tmp_path: Path) -> None:
    write_film(tmp_path / "a.png")
    write_film(tmp_path / "more" / "b.png")
    films = read_folder(tmp_path)
    assert len(films.films) == 1
    assert [n.reason for n in films.notes] == ["a folder within the folder: not read"]


def test_films_csv_may_name_patient_facing_spacing_sex_and_age(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_film(tmp_path / f"{name}.png")
    write_rows(
        tmp_path / "films.csv",
        [
            ["filename", "patient", "facing", "spacing_x_mm", "spacing_y_mm", "sex", "age_years"],
            ["a.png", "Roe", "right", 0.1, 0.2, "F", 51],
            ["b", "Roe", "", "", "", "", ""],
        ],
    )
    a, b, c = read_folder(tmp_path).films
    assert a.patient == b.patient == pseudonym("Roe")
    assert c.patient == c.film_id
    assert (a.facing, b.facing) == (Facing.RIGHT, Facing.UNKNOWN)
    assert (a.spacing, b.spacing) == (Spacing(0.1, 0.2, "films.csv"), None)
    assert (a.sex, a.age_years, b.sex, b.age_years) == ("F", 51, "", None)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([["patient"], ["a"]], r"films.csv: needs the column filename, may have patient, facing"),
        ([["filename", "patent"]], r"unknown column 'patent'. Did you mean 'patient'\?"),
        ([["filename", "facing"], ["a", "up"]], r"row 2: facing must be one of left, right, none, unknown, found 'up'"),
        ([["filename", "patient"], ["a"]], r"row 2 has 1 cells, the header 2"),
        ([["filename"], ["a"], ["a.png"]], r"row 3 lists a film for the second time"),
        (
            [["filename", "spacing_x_mm"], ["a", 1]],
            r"spacing_x_mm and spacing_y_mm must be given together or not at all",
        ),
        ([["filename", "spacing_x_mm", "spacing_y_mm"], ["a", 1, 0]], r"pixel spacing must be positive, in mm"),
        ([["filename", "spacing_x_mm", "spacing_y_mm"], ["a", 1, "x"]], r"row 2: spacing must be finite numbers"),
        ([["filename", "sex"], ["a", "x"]], r"row 2: sex must be F or M, or left out, found 'x'"),
        ([["filename", "patient"], ["a", 1], ["a", 2]], r"row 3 lists a film with another patient: a"),
        ([["filename", "patient"], ["", 1]], r"row 2 names no film"),
        ([["filename", "sex", "SEX"], ["a", "F", "F"]], r"has the column 'sex' twice"),
        (
            [["filename"], ["other.png"]],
            r"none of its 1 rows matches a film here.*'other' is the first row, 'a' a film",
        ),
        ([["filename", "age_years"], ["a", "5.5"]], r"age_years must be a whole number up to 130, found '5.5'"),
        ([["filename", "age_years"], ["a", "131"]], r"age_years must be a whole number up to 130, found '131'"),
        ([["filename", "labelled"], ["a", "perhaps"]], r"labelled must be yes or no, found 'perhaps'"),
    ],
)
def test_a_films_csv_of_the_wrong_form_is_a_data_error(tmp_path: Path, table: list[list[object]], message: str) -> None:
    write_film(tmp_path / "a.png")
    write_rows(tmp_path / "films.csv", table)
    with pytest.raises(DataError, match=message):
        read_folder(tmp_path)


def test_a_row_without_its_film_is_a_remark(tmp_path: Path) -> None:
    write_film(tmp_path / "a.png")
    write_rows(tmp_path / "films.csv", [["filename"], ["gone.png"], ["a.png"]])
    assert [n.reason for n in read_folder(tmp_path).notes] == ["in films.csv, but there is no such film"]


def test_two_films_of_one_stem_are_bad_and_the_others_are_read(tmp_path: Path) -> None:
    for name in ("a.png", "a.tif", "b.png"):
        write_film(tmp_path / name, np.zeros((20, 20), np.uint8))
    films = read_folder(tmp_path)
    assert reasons(films) == ["two films of one name, as .png and .tif: keep one"] * 2
    assert len(films.films) == 1
