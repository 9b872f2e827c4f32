"""Files, folders and patterns as films, each once and under a pseudonym."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import write_rows
from dicoms import dicom, gradient

from spondylo_ml.data.film_files import find_films
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Facing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two visits of which both have an `IM1`, one DICOM file without a suffix, and things that are no films."""
    for name in ("a/IM1.png", "a/IM2.JPG", "b/IM1.dcm", "b/notes.txt", "b/DICOMDIR"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * 200)
    (tmp_path / "b" / "1.2.840.3").write_bytes(dicom(gradient()))
    return tmp_path


def names(given: list[str], root: Path) -> list[str]:
    return [film.path.relative_to(root).as_posix() for film in find_films(given).films]


def test_a_folder_is_searched_to_any_depth_and_what_is_no_film_is_listed(folder: Path) -> None:
    found = find_films([str(folder)])
    assert names([str(folder)], folder) == ["a/IM1.png", "a/IM2.JPG", "b/1.2.840.3", "b/IM1.dcm"]
    assert [path.name for path in found.passed_over] == ["DICOMDIR", "notes.txt"]


def test_a_film_that_is_named_twice_is_found_once_and_patterns_and_files_mix(folder: Path) -> None:
    given = [str(folder / "*" / "IM1*"), str(folder / "a"), str(folder / "b" / "notes.txt")]
    assert names(given, folder) == ["a/IM1.png", "b/IM1.dcm", "a/IM2.JPG", "b/notes.txt"], "a named file is a film"


def test_films_bear_the_pseudonym_of_their_stem_and_of_their_path_where_stems_are_equal(folder: Path) -> None:
    ids = {film.path.name: film.film_id for film in find_films([str(folder)]).films}
    assert ids["IM2.JPG"] == pseudonym("IM2")
    assert ids["1.2.840.3"] == pseudonym("1.2.840.3")
    assert ids["IM1.png"] == pseudonym((folder / "a" / "IM1.png").resolve().as_posix())
    assert len(set(ids.values())) == 4


def test_a_table_beside_the_films_tells_facing_and_spacing(folder: Path) -> None:
    rows = [
        ["filename", "facing", "spacing_x_mm", "spacing_y_mm"],
        ["IM1.dcm", "left", 0.1, 0.2],
        ["1.2.840.3", "right", "", ""],
    ]
    write_rows(folder / "b" / "films.csv", rows)
    known = {film.path.name: film.known for film in find_films([str(folder)]).films}
    assert known["IM1.dcm"].facing is Facing.LEFT
    assert known["IM1.dcm"].spacing is not None
    assert (known["IM1.dcm"].spacing.x_mm, known["IM1.dcm"].spacing.y_mm) == (0.1, 0.2)
    assert (known["1.2.840.3"].facing, known["1.2.840.3"].spacing) == (Facing.RIGHT, None)
    assert known["IM1.png"].facing is Facing.UNKNOWN


def test_what_is_not_there_or_holds_no_film_is_told(folder: Path) -> None:
    with pytest.raises(DataError, match=r"nothing is called .*/\*\.tif: give files, folders, or a pattern"):
        find_films([str(folder / "*.tif")])
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"no film in what was given: \.jpg, .*\.dcm"):
        find_films([str(folder / "empty")])
