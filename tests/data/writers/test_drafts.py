"""Predictions as drafts for labelling tools: nothing is lost, and they are not taken for labels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from builders import plain_film, square

from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.readers import find_reader, read_folder
from spondylo_ml.data.writers.drafts import WRITERS_OF_DRAFTS, draft_of, write_drafts
from spondylo_ml.landmarks import Facing, FilmPrediction, SlotRange

SIZE_HW = (400, 200)
MODEL = "u_net version 3"
UNCORRECTED = "its corners are a model's draft: correct them, and name yourself as the film's reader"
SCORES = np.array([[0.91, 0.92, 0.93, 0.94], [0.5, 0.6, 0.7, 0.25], [0.9, 0.9, 0.9, 0.9]])


def prediction(**fields: Any) -> FilmPrediction:
    """S1, L5 and L4 with one corner absent, of which L4 is probably not on the film."""
    corners = np.stack([square(slot, 80, 330 - 50 * slot, 30).corners_xy for slot in range(3)])
    corners[0, 3] = np.nan
    return FilmPrediction("a", SlotRange(0, 3), corners, SCORES, np.array([0.9, 0.6, 0.4]), **fields)


def write(kind: str, to: Path, **fields: Any) -> FilmSet:
    film = replace(plain_film("a", None, SIZE_HW), facing=Facing.LEFT)
    drafts = [draft_of(film, prediction(**fields), MODEL, 0.5)]
    path = to / drafts[0].placed.image
    path.parent.mkdir(parents=True)
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, SIZE_HW, dtype=np.uint8))
    write_drafts(drafts, kind, to)
    assert find_reader(to).kind == kind
    return read_folder(to)


def assert_corners(films: FilmSet) -> None:
    (film,) = films.films
    assert [v.level for v in film.vertebrae or ()] == ["S1", "L5"]
    np.testing.assert_allclose([v.corners_xy for v in film.vertebrae or ()], prediction().corners_xy[:2], atol=1e-9)
    assert film.facing is Facing.LEFT


@pytest.mark.parametrize("kind", sorted(set(WRITERS_OF_DRAFTS) - {"label-studio"}))
def test_a_draft_has_the_corners_and_a_warning_until_a_person_signs_it(kind: str, tmp_path: Path) -> None:
    films = write(kind, tmp_path / "drafts")
    assert_corners(films)
    assert [(note.reason, note.doubt) for note in films.notes] == [(UNCORRECTED, True)]
    assert films.films[0].reader == f"draft of {MODEL}"
    text = "".join(p.read_text(errors="ignore") for p in (tmp_path / "drafts").rglob("*.*") if p.suffix != ".png")
    assert MODEL in text
    assert all(f"{score:g}" in text for score in SCORES[1])


def test_drafts_of_label_studio_are_predictions_until_they_are_annotations(tmp_path: Path) -> None:
    films = write("label-studio", tmp_path)
    assert [finding.reason for finding in films.bad_files] == [
        "no label: its task has no annotation (only predictions, which are drafts)"
    ]
    path = tmp_path / "label_studio.json"
    (task,) = json.loads(path.read_text())
    (draft,) = task["predictions"]
    assert draft["model_version"] == MODEL
    points = [result for result in draft["result"] if result["type"] == "keypointlabels"]
    assert [point["score"] for point in points] == [*SCORES[0, :3], *SCORES[1]]
    task["annotations"] = [{"id": 1, "result": draft["result"], "completed_by": {"email": "ott@example.org"}}]
    path.write_text(json.dumps([task]))
    films = read_folder(tmp_path)
    assert_corners(films)
    assert films.notes == ()
    assert films.films[0].reader == "ott@example.org"


@pytest.mark.parametrize("place", ["task", "job", "project/tasks/task"])
def test_an_assignee_in_cvat_does_not_sign_a_draft(place: str, tmp_path: Path) -> None:
    write("cvat", tmp_path)
    path = tmp_path / "annotations.xml"
    names = place.split("/")
    before, after = "".join(f"<{name}>" for name in names), "".join(f"</{name}>" for name in reversed(names))
    meta = f"<meta>{before}<id>5</id><assignee><username>ott</username></assignee>{after}</meta>"
    text = (
        path.read_text().replace("<version>", f"{meta}<version>").replace('<image id="0"', '<image id="0" task_id="5"')
    )
    path.write_text(text)
    films = read_folder(tmp_path)
    assert_corners(films)
    assert [(note.reason, note.doubt) for note in films.notes] == [(UNCORRECTED, True)]
    assert films.films[0].reader == f"draft of {MODEL}"
    path.write_text(text.replace(f"draft of {MODEL}", "ott"))
    films = read_folder(tmp_path)
    assert films.notes == ()
    assert films.films[0].reader == "ott"


def test_coco_has_the_score_of_each_keypoint(tmp_path: Path) -> None:
    write("coco", tmp_path)
    tree = json.loads((tmp_path / "annotations.json").read_text())
    assert [a["keypoint_scores"] for a in tree["annotations"]] == SCORES[:2].tolist()
    assert tree["annotations"][1]["score"] == pytest.approx(0.5125)
    assert tree["info"]["description"] == f"draft of {MODEL}"


def test_corners_outside_the_film_are_left_to_draw() -> None:
    outside = prediction()
    outside.corners_xy[1, 2] = (-1.0, 300.0)
    outside.corners_xy[0] += 500
    draft = draft_of(plain_film("a", None, SIZE_HW), outside, MODEL, 0.5)
    assert [v.level for v in draft.vertebrae] == ["L5"]
    np.testing.assert_array_equal(draft.vertebrae[0].present, [True, True, False, True])


@pytest.mark.parametrize("kind", sorted(WRITERS_OF_DRAFTS))
def test_a_film_that_the_model_refused_is_left_to_draw_and_no_empty_label(kind: str, tmp_path: Path) -> None:
    films = write(kind, tmp_path / "drafts", refusal="no lateral lumbar film")
    assert all(film.vertebrae is None for film in films.films)
    assert all(finding.reason.startswith("no label: ") for finding in films.bad_files)
    assert len(films.films) + len(films.bad_files) == 1
