"""Drafts in the format of each tool, their record, and the labels that come back from the tool."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pytest
from builders import plain_film, square
from dicoms import dicom, gradient
from drafted_films import DIGEST, MODEL_NAME, SPINE, edited, write_drafted

from spondylo_ml.data.corrected_drafts import MODEL, NOBODY, PERSON, CorrectedDrafts, match_drafts
from spondylo_ml.data.decode import open_file
from spondylo_ml.data.draft_record import DRAFT_RECORD, DraftSet, read_drafts
from spondylo_ml.data.film_files import collect_films
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers import read_folder
from spondylo_ml.data.writers import WRITERS
from spondylo_ml.data.writers.base import PlacedFilm
from spondylo_ml.data.writers.drafts import WRITERS_OF_DRAFTS, draft_of, write_drafts
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.corrections import corrections_of
from spondylo_ml.landmarks import Facing, FilmPrediction, SlotRange
from spondylo_ml.spacing import Spacing

NAMES = ("corrected", "untouched", "unsigned", "late")


def write_labels(folder: Path, kind: str) -> None:
    """What the tool exports, in place of the drafts; the last film has no label yet."""
    drafts = {film.film_id: film for film in read_drafts([folder]).films}
    films = [
        replace(edited(drafts["corrected"]), reader="ott"),
        replace(drafts["untouched"], reader="ott"),
        drafts["unsigned"],
    ]
    (folder / "images" / "late.png").unlink()
    placed = [PlacedFilm(film, PurePosixPath("images") / f"{film.film_id}.png") for film in films]
    WRITERS[kind].write_labels(placed, folder)
    (folder / "images" / "late.mrk.json").unlink(missing_ok=True)
    (folder / "images" / "late.json").unlink(missing_ok=True)


@pytest.mark.parametrize("kind", sorted(WRITERS_OF_DRAFTS))
def test_the_record_gives_the_drafts_back(kind: str, tmp_path: Path) -> None:
    write_drafted(tmp_path / "drafts", kind, NAMES)
    for folder in (tmp_path, tmp_path / "drafts"):
        drafts = read_drafts([folder])
        assert (drafts.model, drafts.digest, drafts.tools) == (MODEL_NAME, DIGEST, (kind,))
        assert [film.film_id for film in drafts.films] == list(NAMES)
        for film in drafts.films:
            assert (film.spacing, film.facing) == (Spacing(0.5, 0.25, "header"), Facing.LEFT)
            assert [v.level for v in film.vertebrae or ()] == ["S1", "L5", "L4", "L3"]
            found = np.stack([v.corners_xy for v in film.vertebrae or ()])
            expected = np.stack([v.corners_xy for v in SPINE])
            expected[0, 2:] = np.nan
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", sorted(set(WRITERS_OF_DRAFTS) - {"slicer"}))
def test_the_file_of_the_tool_holds_the_digest_of_the_model(kind: str, tmp_path: Path) -> None:
    write_drafted(tmp_path, kind, NAMES)
    files = [path for path in tmp_path.rglob("*.*") if path.suffix in (".json", ".xml") and path.name != DRAFT_RECORD]
    assert DIGEST in "".join(path.read_text() for path in files)


def came_back(folder: Path, kind: str) -> CorrectedDrafts:
    write_drafted(folder, kind, NAMES)
    drafts = read_drafts([folder])
    labels = folder.parent / "labels"
    write_drafted(labels, kind, NAMES)
    write_labels(labels, kind)
    read = read_folder(labels)
    assert read.kind == kind
    return match_drafts(drafts, [read])


@pytest.mark.parametrize("kind", sorted(WRITERS_OF_DRAFTS))
def test_corrections_come_back_from_each_tool(kind: str, tmp_path: Path) -> None:
    back = came_back(tmp_path / "drafts", kind)
    assert {film.film_id for film in back.drafts} == set(NAMES[:3])
    assert [name for name, _ in back.not_back] == ["late"]
    signatures = {film.film_id: signature for film, signature in zip(back.corrected, back.signatures, strict=True)}
    assert signatures == {"corrected": PERSON, "untouched": PERSON, "unsigned": MODEL}
    found = corrections_of(back.drafts, back.corrected, back.signatures, 0.05)
    of_film = found.bodies[found.bodies["film_id"] == "corrected"]
    assert {(row.draft_level, row.level): row.change for row in of_film.itertuples()} == {
        ("S1", "S1"): "kept", ("L5", "L5"): "moved", ("L4", ""): "removed", ("L3", "L1"): "renamed",
        ("", "T12"): "added",
    }  # fmt: skip
    assert of_film["largest_px"].max() == pytest.approx(5.0)
    assert of_film["largest_mm"].max() == pytest.approx(np.hypot(1.5, 1.0))
    films = found.films.set_index("film_id")
    assert films["corrected"].to_dict() == {"corrected": True, "untouched": False, "unsigned": False}
    assert films["reviewed"].to_dict() == {"corrected": True, "untouched": True, "unsigned": False}


def test_a_label_that_was_submitted_without_a_name_is_reviewed(tmp_path: Path) -> None:
    write_drafted(tmp_path, "label-studio", ("a",))
    drafts = read_drafts([tmp_path])
    path = tmp_path / "label_studio.json"
    tasks = json.loads(path.read_text())
    with pytest.raises(DataError, match=r"no film was labelled by all readers: drafts: 1 film"):
        match_drafts(drafts, [read_folder(tmp_path)])
    tasks[0]["annotations"] = [{"id": 1, "result": tasks[0]["predictions"][0]["result"]}]
    path.write_text(json.dumps(tasks))
    assert match_drafts(drafts, [read_folder(tmp_path)]).signatures == (PERSON,)


def test_a_label_without_any_name_is_not_reviewed_elsewhere() -> None:
    film = plain_film("a", SPINE, pixels=np.zeros((9, 9), np.uint8))
    drafts = DraftSet(MODEL_NAME, DIGEST, ("coco",), (film,))
    other = FilmSet("coco", "coco", (film, replace(film, film_id="b", image=plain_film("b").image)), SlotRange(0, 1))
    back = match_drafts(drafts, [other])
    assert (back.signatures, back.not_drafted) == ((NOBODY,), ("b",))


def test_records_that_cannot_be_used_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no drafts\.json: give the folder that predict --format wrote"):
        read_drafts([tmp_path])
    first, second = tmp_path / "first", tmp_path / "second"
    write_drafted(first, "coco", ("a",))
    write_drafted(second, "cvat", ("a",))
    with pytest.raises(DataError, match=r"1 film\(s\) were drafted twice, such as a: give one folder"):
        read_drafts([first, second])
    record = json.loads((second / DRAFT_RECORD).read_text())
    (second / DRAFT_RECORD).write_text(json.dumps({**record, "model_digest": "cd" * 32}))
    with pytest.raises(DataError, match="the drafts are of 2 models"):
        read_drafts([first, second])
    (second / DRAFT_RECORD).write_text(json.dumps({**record, "model_digest": "x"}))
    with pytest.raises(DataError, match=r"not a record of drafts, or is damaged: model_digest: String should match"):
        read_drafts([second])
    (first / "images" / "a.png").unlink()
    with pytest.raises(DataError, match=r"names the film images/a\.png, which is missing: keep images/ beside it"):
        read_drafts([first])


@pytest.fixture
def films_of_patients(tmp_path: Path) -> Path:
    """DICOM films: two of one PatientID, one whose patient a table names, and one of nobody known."""
    folder = tmp_path / "films"
    folder.mkdir()
    for name, patient in {"a1": "Quixworth", "a2": "Quixworth", "b": "", "c": ""}.items():
        (folder / f"{name}.dcm").write_bytes(dicom(gradient((128, 96)), PatientID=patient))
    (folder / "films.csv").write_text("filename,patient,sex,age_years\nb,Ysolde,F,61\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("kind", sorted(WRITERS_OF_DRAFTS))
def test_drafts_keep_patient_sex_and_age(kind: str, films_of_patients: Path, tmp_path: Path) -> None:
    drafts, slots, to = [], SlotRange(0, 5), tmp_path / "drafts"
    corners = slots.corners(tuple(square(slot, 40, 110 - 22 * slot, 15) for slot in range(4)))
    (to / "images").mkdir(parents=True)
    for file in collect_films([str(films_of_patients)]).films:
        film = open_file(file.path, file.film_id, file.details)
        cv2.imwrite(str(to / "images" / f"{film.film_id}.png"), film.image.read())
        prediction = FilmPrediction(film.film_id, slots, corners, np.ones((5, 4)), np.ones(5))
        drafts.append(draft_of(film, prediction, MODEL_NAME, 0.5, DIGEST))
    write_drafts(drafts, kind, to)
    expected = {
        pseudonym("a1"): (pseudonym("Quixworth"), "", None),
        pseudonym("a2"): (pseudonym("Quixworth"), "", None),
        pseudonym("b"): (pseudonym("Ysolde"), "F", 61),
        pseudonym("c"): (pseudonym("c"), "", None),
    }
    unread = kind == "label-studio"  # where a person has to submit them first
    for films in (read_drafts([to]).films, *([] if unread else [read_folder(to).films])):
        assert {film.film_id: (film.patient, film.sex, film.age_years) for film in films} == expected
    if kind in ("cvat", "labelme"):  # the others have no use for such a table, or one of their own
        rows = [f"{pseudonym('a1')},Quixworth", f"{pseudonym('c')},Tavener"]
        (to / "films.csv").write_text("\n".join(["filename,patient", *rows]), encoding="utf-8")
        patients = {film.film_id: film.patient for film in read_folder(to).films}
        assert patients[pseudonym("a1")] == pseudonym("Quixworth")
        assert patients[pseudonym("c")] == pseudonym("Tavener")
