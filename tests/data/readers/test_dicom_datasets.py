"""Datasets of DICOM files: the same labels, with spacing and patient from the headers."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import write_rows
from dicoms import PLANTED_WORDS, dataset, dicom, file_bytes, with_identifiers
from reading import PRIVATE, corners_of, sound_folder

from spondylo_ml.data.decode import open_file
from spondylo_ml.data.film_files import collect_films
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers import read_folder
from spondylo_ml.data.writers.dataset import write_dataset
from spondylo_ml.landmarks import GreyImage

SPACING = {"PixelSpacing": [0.2, 0.1], "PatientID": "QUIX4711"}
WITHOUT_SPACING = {"PatientID": "QUIX4711"}
STATE_SPACING = ("coco", "label-studio", "cvat", "labelme")
"""Layouts whose annotations can state the spacing."""


def in_dicom(root: Path, suffix: str = ".dcm", **fields: object) -> Path:
    """The folder with each image as a DICOM file."""
    for path in sorted(root.rglob("*.png")):
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert grey is not None
        folder = with_identifiers(dataset(np.asarray(grey), 8, **(fields or SPACING)))
        path.with_suffix(suffix).write_bytes(file_bytes(folder))
        path.unlink()
    for path in root.rglob("*.json"):
        path.write_text(path.read_text(encoding="utf-8").replace(".png", suffix), encoding="utf-8")
    for path in root.rglob("films.csv"):
        path.unlink()
    return root


def pixels_of(films: FilmSet) -> dict[str, GreyImage]:
    return {film.film_id: film.image.read() for film in films.films}


@pytest.mark.parametrize("kind", PRIVATE)
@pytest.mark.parametrize("suffix", [".dcm", ".DICOM", ""])
def test_dicom_films_have_the_labels_and_pixels_of_the_images(kind: str, suffix: str, tmp_path: Path) -> None:
    root = sound_folder(kind, tmp_path / "data")
    expected = read_folder(root, kind)
    pixels = pixels_of(expected)
    # Markups are in mm: in a file with another spacing they would be other corners.
    films = read_folder(in_dicom(root, suffix, **(WITHOUT_SPACING if kind == "slicer" else SPACING)), kind)
    assert films.bad_files == ()
    assert [film.film_id for film in films.films] == [film.film_id for film in expected.films]
    for film, original in zip(films.films, expected.films, strict=True):
        np.testing.assert_array_equal(film.image.read(), pixels[film.film_id])
        if kind != "folder":
            np.testing.assert_array_equal(corners_of(film), corners_of(original))
            assert [v.slot for v in film.vertebrae or ()] == [v.slot for v in original.vertebrae or ()]


@pytest.mark.parametrize("kind", PRIVATE)
def test_spacing_aspect_and_patient_come_from_the_file_where_the_dataset_says_none(kind: str, tmp_path: Path) -> None:
    root = in_dicom(sound_folder("folder" if kind == "folder" else kind, tmp_path / "data"))
    for film in read_folder(root, kind).films:
        if kind in STATE_SPACING and film.spacing and not film.spacing.provenance.startswith("DICOM"):
            continue  # the annotations name one
        assert film.spacing is not None
        assert (film.spacing.x_mm, film.spacing.y_mm, film.spacing.provenance) == (0.1, 0.2, "DICOM PixelSpacing")
        assert film.pixel_aspect == 0.5


def test_films_of_one_patient_are_one_group_under_a_pseudonym(tmp_path: Path) -> None:
    root = in_dicom(sound_folder("folder", tmp_path / "data"))
    films = read_folder(root).films
    assert {film.patient for film in films} == {pseudonym("QUIX4711")}
    assert not any(word in repr(films) for word in PLANTED_WORDS)


def test_the_table_takes_precedence_over_the_file(tmp_path: Path) -> None:
    root = in_dicom(sound_folder("folder", tmp_path / "data"))
    first = sorted(root.iterdir())[0]
    columns = ["filename", "patient", "facing", "spacing_x_mm", "spacing_y_mm", "pixel_aspect"]
    write_rows(root / "films.csv", [columns, [first.name, "p1", "left", "0.3", "0.3", "1.0"]])
    film = next(film for film in read_folder(root).films if film.path == first)
    assert (film.patient, str(film.facing), film.pixel_aspect) == (pseudonym("p1"), "left", 1.0)
    assert film.spacing is not None
    assert (film.spacing.x_mm, film.spacing.provenance) == (0.3, "films.csv")


@pytest.mark.parametrize("kind", ["yolo", "folder"])
def test_a_file_that_cannot_be_read_is_a_bad_file_and_an_odd_element_a_note(kind: str, tmp_path: Path) -> None:
    root = in_dicom(sound_folder(kind, tmp_path / "data"))
    first, second, *_ = sorted(root.rglob("*.dcm"))
    grey = np.tile(np.arange(96, dtype=np.uint8), (96, 1))
    first.write_bytes(first.read_bytes()[:-999])
    second.write_bytes(dicom(grey, 8, PixelSpacing=[0, 0]))
    films = read_folder(root, kind)
    assert [(f.file, f.reason.startswith("a DICOM file that is cut off")) for f in films.bad_files] == [
        (first.name, True)
    ]
    notes = [note for note in films.notes if note.file == second.name]
    assert [note.reason for note in notes] == ["PixelSpacing is not two positive numbers and was not used"]


def test_exported_dicom_films_are_pictures_without_the_header(tmp_path: Path) -> None:
    films = read_folder(in_dicom(sound_folder("yolo", tmp_path / "data")), "yolo")
    exported = write_dataset(films, "coco", tmp_path / "out")
    assert len(exported.films.films) == len(films.films)
    assert [f.spacing.x_mm for f in exported.films.films if f.spacing] == [0.1] * len(films.films)
    for path in (p for p in (tmp_path / "out").rglob("*") if p.is_file()):
        assert not any(word.encode() in path.read_bytes() for word in PLANTED_WORDS)


def test_prediction_and_readers_call_a_uid_without_suffix_by_its_whole_name(tmp_path: Path) -> None:
    folder = in_dicom(sound_folder("folder", tmp_path / "data"))
    for number, path in enumerate(sorted(folder.iterdir())):
        shutil.move(path, folder / f"1.2.840.{number}")
    films, collected = read_folder(folder).films, collect_films([str(folder)]).films
    assert {film.film_id for film in films} == {one.film_id for one in collected}
    assert len({film.film_id for film in films}) == len(collected) >= 3
    assert open_file(collected[0].path, "a").size_hw == films[0].size_hw
