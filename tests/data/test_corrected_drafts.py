"""Drafts in the format of each tool, their record, and the labels that come back from the tool."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from builders import plain_film
from drafted_films import DIGEST, MODEL_NAME, SPINE, edited, write_drafted

from spondylo_ml.data.corrected_drafts import MODEL, NOBODY, PERSON, CorrectedDrafts, match_drafts
from spondylo_ml.data.draft_record import DRAFT_RECORD, DraftSet, read_drafts
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.readers import read_folder
from spondylo_ml.data.writers import WRITERS
from spondylo_ml.data.writers.base import PlacedFilm
from spondylo_ml.data.writers.drafts import WRITERS_OF_DRAFTS
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.corrections import corrections_of
from spondylo_ml.landmarks import Facing, SlotRange
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
    with pytest.raises(DataError, match=r"no record of drafts, or damaged: model_digest: String should match"):
        read_drafts([second])
    (first / "images" / "a.png").unlink()
    with pytest.raises(DataError, match=r"names the film images/a\.png, which is missing: keep images/ beside it"):
        read_drafts([first])
