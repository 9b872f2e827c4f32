"""Tables as saved by spreadsheets, and file names in different Unicode forms or with a leading dot."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from builders import write_rows
from reading import KINDS, images_of, one_film, sound_folder, write_film

from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers import read_folder
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Facing
from spondylo_ml.spacing import Spacing

NAME = "Müller"
COMPOSED, APART = (unicodedata.normalize(form, NAME) for form in ("NFC", "NFD"))

TABLE = "filename,patient,facing,spacing_x_mm,spacing_y_mm,labelled,sex,age_years\n" + (
    f"{COMPOSED}.png,Größe,Left,0.14,0.15,FALSE,f,45.0\nb.png,Größe,,,,TRUE,,\n"
)


def check_films_of_table(root: Path) -> None:
    films = {film.path.stem: film for film in read_folder(root).films if film.path}
    first, second = films[COMPOSED], films["b"]
    assert first.patient == second.patient == pseudonym("Größe")
    assert (first.facing, first.spacing) == (Facing.LEFT, Spacing(0.14, 0.15, "films.csv"))
    assert (first.sex, first.age_years) == ("F", 45)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_films_csv_is_read_as_spreadsheets_save_it(tmp_path: Path, encoding: str, separator: str, newline: str) -> None:
    for name in (COMPOSED, "b"):
        write_film(tmp_path / f"{name}.png")
    text = TABLE.replace(",", separator).replace("\n", newline)
    (tmp_path / "films.csv").write_bytes(text.encode(encoding))
    check_films_of_table(tmp_path)
    notes = [note.reason for note in read_folder(tmp_path).notes]
    assert any("read as Windows-1252" in note for note in notes) == (encoding == "cp1252")


def test_a_semicolon_table_may_have_decimal_commas_trailing_separators_and_a_sep_line(
    tmp_path: Path,
) -> None:
    for name in (COMPOSED, "b"):
        write_film(tmp_path / f"{name}.png")
    text = TABLE.replace(",", ";").replace("0.1", "0,1").replace("\n", ";;\n")
    (tmp_path / "films.csv").write_text("sep=;\n" + text, encoding="utf-8")
    check_films_of_table(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"filename\tspacing_x_mm\tspacing_y_mm\na\t0,1\t0,1\n", r"numbers, with a decimal point, found '0,1'"),
        (b'filename,patient\n"a,b\n', r"not a table: a quotation mark is not closed"),
        ("filename\na\n".encode("utf-16-le"), r"not a text file, or UTF-16 without byte order mark: save it as UTF-8"),
        (b"filename,patient\na,\x81\n", r"not a text file in UTF-8: save it as 'CSV UTF-8'"),
        (b"filename,labelled\na,WAHR\n", r"labelled must be yes or no, found 'WAHR'"),
        (b"filename,age_years\na,45.5\n", r"age_years must be a whole number up to 130, found '45.5'"),
    ],
)
def test_faults_of_a_table_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    write_film(tmp_path / "a.png")
    (tmp_path / "films.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_folder(tmp_path)


def test_a_film_without_a_patient_is_noted_if_the_table_has_patients(tmp_path: Path) -> None:
    for name in "abc":
        write_film(tmp_path / f"{name}.png")
    write_rows(tmp_path / "films.csv", [["filename", "patient"], ["a", "p"], ["b", ""]])
    films = read_folder(tmp_path)
    assert [(n.file, n.reason) for n in films.notes] == [
        (name, "no patient in films.csv: counted as a separate patient") for name in ("b.png", "c.png")
    ]
    assert len({film.patient for film in films.films}) == 3


# ------------------------------------------------------------------------------------------------------ Unicode forms


@pytest.mark.parametrize("file_form", [COMPOSED, APART])
@pytest.mark.parametrize("table_form", [COMPOSED, APART])
def test_a_film_is_found_in_a_table_of_another_unicode_form(tmp_path: Path, file_form: str, table_form: str) -> None:
    write_film(tmp_path / f"{file_form}.png")
    write_film(tmp_path / "b.png")
    write_rows(tmp_path / "films.csv", [["filename", "patient"], [f"{table_form}.png", table_form], ["b", file_form]])
    films = read_folder(tmp_path)
    assert films.notes == ()
    assert {film.patient for film in films.films} == {pseudonym(COMPOSED)}
    assert {film.film_id for film in films.films} == {pseudonym(COMPOSED), pseudonym("b")}


@pytest.mark.parametrize("kind", ["mendeley", "buu", "yolo", "coco", "spineweb16"])
def test_a_label_of_another_unicode_form_is_that_of_its_film(tmp_path: Path, kind: str) -> None:
    root = one_film(kind, tmp_path)
    (image,) = images_of(root)
    for path in [p for p in root.rglob("one.*") if p != image]:
        path.rename(path.with_name(f"{COMPOSED}{path.suffix}"))
    for table in [*root.glob("*.csv"), *root.glob("*.json")]:
        table.write_text(table.read_text().replace("one.png", f"{COMPOSED}.png"), encoding="utf-8")
    image.rename(image.with_name(f"{APART}.png"))
    films = read_folder(root)
    assert films.bad_files == ()
    (film,) = films.films
    assert film.labelled
    assert film.film_id == (pseudonym(NAME) if kind in ("yolo", "coco") else COMPOSED)


def test_two_files_that_differ_only_in_unicode_form_have_the_same_name(tmp_path: Path) -> None:
    for name in (COMPOSED, APART, "b"):
        write_film(tmp_path / f"{name}.png")
    films = read_folder(tmp_path)
    assert len(films.films) == 1
    assert {finding.reason for finding in films.bad_files} == {"two films of one name, as .png and .png: keep one"}


# ------------------------------------------------------------------------------------------- hidden files, dead links


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_files_and_folders_are_passed_over(tmp_path: Path, kind: str) -> None:
    root = sound_folder(kind, tmp_path / "set")
    before = read_folder(root)
    for folder in [root, *(p for p in root.rglob("*") if p.is_dir())]:
        (folder / ".ipynb_checkpoints").mkdir()
        (folder / ".ipynb_checkpoints" / "a-checkpoint.png").write_bytes(b"")
        for suffix in (".png", ".jpg", ".txt", ".json", ".csv", ".yaml"):
            (folder / f"._x{suffix}").write_bytes(b"\0\5\x16\7")
        (folder / ".DS_Store").write_bytes(b"")
    after = read_folder(root)
    assert [film.film_id for film in after.films] == [film.film_id for film in before.films]
    assert (after.bad_files, after.notes) == (before.bad_files, before.notes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_link_is_a_bad_file(tmp_path: Path, kind: str) -> None:
    root = sound_folder(kind, tmp_path / "set")
    image = images_of(root)[0]
    image.unlink()
    image.symlink_to(tmp_path / "gone.png")
    films = read_folder(root)
    assert [finding.file for finding in films.bad_files] == [image.name]


def test_a_coco_file_name_finds_its_film_in_either_unicode_form(tmp_path: Path) -> None:
    root = one_film("coco", tmp_path)
    (root / "images" / "one.png").rename(root / "images" / f"{APART}.png")
    tree = json.loads((root / "annotations.json").read_text())
    tree["images"][0] |= {"file_name": f"{COMPOSED}.png", "patient": APART}
    (root / "annotations.json").write_text(json.dumps(tree))
    (film,) = read_folder(root).films
    assert film.patient == pseudonym(COMPOSED)
