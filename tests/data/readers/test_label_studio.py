"""Label Studio's export in the ways in which people set up their projects."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reading import SIZE_HW, boxes, corners_of, label_studio_task, reasons, write_film

from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.readers import find_reader, read_folder
from spondylo_ml.data.readers.tools.dataset import DRAFT_BESIDE, read_drawings
from spondylo_ml.data.readers.tools.drawing import Drawing
from spondylo_ml.data.readers.tools.label_studio import film_name
from spondylo_ml.data.readers.tools.mapping import Mapping
from spondylo_ml.errors import DataError, FileError
from spondylo_ml.landmarks import CORNERS, LEVELS, Facing

Task = dict[str, Any]


def task() -> Task:
    return label_studio_task(boxes())  # type: ignore[return-value]


def results_of(one: Task) -> list[Task]:
    return one["annotations"][0]["result"]  # type: ignore[no-any-return]


def read(root: Path, *tasks: Task) -> FilmSet:
    write_film(root / "images" / "one.png")
    (root / "export.json").write_text(json.dumps(tasks), encoding="utf-8")
    return read_folder(root)


def result(kind: str, words: list[str], value: Task, **more: object) -> Task:
    size = {"original_width": SIZE_HW[1], "original_height": SIZE_HW[0], "image_rotation": 0, "to_name": "image"}
    return {**size, "type": kind, "value": {**value, kind: words}, **more}


def keypoint(words: list[str], xy: list[float], **more: object) -> Task:
    value = {"x": xy[0] / SIZE_HW[1] * 100, "y": xy[1] / SIZE_HW[0] * 100, "width": 0.4}
    return result("keypointlabels", words, value, from_name="kp", **more)


def with_results(results: list[Task], **data: object) -> Task:
    one = task()
    one["annotations"][0]["result"] = results
    one["data"] |= data
    return one


def assert_boxes(films: FilmSet, levels: tuple[str, ...] = LEVELS[:6]) -> None:
    assert reasons(films) == []
    (film,) = films.films
    assert tuple(v.level for v in film.vertebrae or ()) == levels
    np.testing.assert_allclose(corners_of(film), np.array(boxes(), dtype=float), atol=1e-9)


def test_keypoints_that_name_level_and_corner_need_no_boxes(tmp_path: Path) -> None:
    names = [f"{level}_{corner}" for level in LEVELS[:6] for corner in ("tl", "tr", "bl", "br")]
    points = [xy for quad in boxes() for xy in quad]
    films = read(tmp_path, with_results([keypoint([n], p) for n, p in zip(names, points, strict=True)]))  # type: ignore[arg-type]
    assert_boxes(films)
    assert films.notes == ()
    assert films.films[0].levels_from == "label"


def test_keypoints_that_lie_in_boxes_belong_to_them(tmp_path: Path) -> None:
    results = []
    for level, quad in zip(LEVELS, boxes(), strict=False):
        x, y = quad[0]
        shape = {"x": (x - 5) / 2, "y": (y - 5) / 4, "width": 25, "height": 12.5, "rotation": 0}  # type: ignore[operator]
        results.append(result("rectanglelabels", [level], shape, id=level))
        results += [keypoint([name], xy) for name, xy in zip(CORNERS, quad, strict=True)]  # type: ignore[arg-type]
    assert_boxes(read(tmp_path, with_results(results)))
    results[0]["value"] |= {"y": 0, "height": 100}
    (why,) = reasons(read(tmp_path, with_results(results)))
    assert "a point lies in several boxes: join the points to their box" in why


def test_relations_join_keypoints_with_boxes(tmp_path: Path) -> None:
    one = task()
    for entry in results_of(one):
        if parent := entry.pop("parentID", None):
            results_of(one).append({"type": "relation", "from_id": entry["id"], "to_id": parent, "direction": "right"})
    assert_boxes(read(tmp_path, one))


def test_four_keypoints_or_a_polygon_with_a_level_are_told_apart_by_position(tmp_path: Path) -> None:
    points = [keypoint([LEVELS[i]], quad[k]) for i, quad in enumerate(boxes()[:3]) for k in (3, 0, 2, 1)]  # type: ignore[arg-type]
    polygons = []
    for level, quad in list(zip(LEVELS, boxes(), strict=False))[3:]:
        ring = [[x / SIZE_HW[1] * 100, y / SIZE_HW[0] * 100] for x, y in (quad[k] for k in (2, 3, 1, 0))]  # type: ignore[operator]
        polygons.append(result("polygonlabels", [level], {"points": ring, "closed": True}))
    films = read(tmp_path, with_results([*points, *polygons]))
    assert_boxes(films)
    assert [note.reason for note in films.notes] == [
        "6 of 6 vertebrae have corners without names: told apart by their position"
    ]


def test_anterior_corners_show_the_facing_and_must_agree_with_it(tmp_path: Path) -> None:
    names = [f"{level}_{c}" for level in LEVELS[:6] for c in ("sup_post", "sup_ant", "inf_post", "inf_ant")]
    points = [xy for quad in boxes() for xy in quad]
    results = [keypoint([name], xy) for name, xy in zip(names, points, strict=True)]  # type: ignore[arg-type]
    films = read(tmp_path, with_results(results))
    assert_boxes(films)
    assert films.films[0].facing is Facing.RIGHT
    assert [n.reason for n in films.notes] == ["facing right: from the sides of the corners that are named anterior"]
    assert read(tmp_path, with_results(results, facing="right")).notes == ()
    (why,) = reasons(read(tmp_path, with_results(results, facing="left")))
    assert "facing is left, but the corners named anterior lie on the right: correct one" in why
    results[0]["value"]["x"], results[1]["value"]["x"] = results[1]["value"]["x"], results[0]["value"]["x"]
    results[2]["value"]["x"], results[3]["value"]["x"] = results[3]["value"]["x"], results[2]["value"]["x"]
    (why,) = reasons(read(tmp_path, with_results(results)))
    assert "the corners named anterior lie on the left of some vertebrae and on the right of others" in why


def test_unknown_names_need_a_mapping(tmp_path: Path) -> None:
    points = [keypoint([f"{LEVELS[i]}-{k + 1}"], quad[k]) for i, quad in enumerate(boxes()) for k in range(4)]  # type: ignore[arg-type]
    films = read(tmp_path, with_results([*points, result("brushlabels", ["ruler"], {"format": "rle", "rle": []})]))
    (why,) = reasons(films)
    assert "24 name(s) of points or bodies are not understood: say in mapping.yaml what they mean" in why
    assert "found 'S1-1', 'S1-2'" in why
    assert "S1-1" not in films.bad_files[0].reason
    (tmp_path / "mapping.yaml").write_text(
        "corners: {1: superior_left, 2: superior_right, 3: inferior_left, 4: inferior_right}\n"
    )
    films = read_folder(tmp_path)
    assert_boxes(films)
    assert [note.reason for note in films.notes] == ["1 region(s) that are no points, boxes or polygons: skipped"]


def test_of_several_annotations_the_mapping_chooses_the_reader(tmp_path: Path) -> None:
    one = task()
    (first,) = one["annotations"]
    first["completed_by"] = {"id": 4, "email": "ott@example.org", "first_name": "Anna"}
    one["annotations"] += [{**first, "completed_by": 5, "result": []}, {**first, "was_cancelled": True}]
    (tmp_path / "mapping.yaml").write_text("reader: nobody\n")
    (why,) = reasons(read(tmp_path, one))
    assert why == ("no label: none of its 2 annotations is by the reader in mapping.yaml, but of ott@example.org, 5")
    (tmp_path / "mapping.yaml").unlink()
    (why,) = reasons(read(tmp_path, one))
    assert "2 annotations of one film: choose one by reader in mapping.yaml, of ott@example.org, 5" in why
    (tmp_path / "mapping.yaml").write_text("reader: ott@example.org\n")
    films = read_folder(tmp_path)
    assert films.films[0].reader == "ott@example.org"
    assert films.notes == ()
    (tmp_path / "mapping.yaml").write_text("reader: nobody\n")
    films = read(tmp_path, {**one, "annotations": [first]})
    assert films.films[0].reader == "ott@example.org"
    assert [note.reason for note in films.notes] == [
        "its only annotation does not name the reader in mapping.yaml: it is read all the same"
    ]


@pytest.mark.parametrize(
    ("stated", "person", "reader"),
    [
        ("Anna Ott", 5, "Anna Ott"),
        ("Anna Ott", {"id": 5}, "Anna Ott"),
        ("Anna Ott", {"first_name": "Anna", "last_name": "Ott"}, "Anna Ott"),
        ("draft of u_net", {"email": "ott@example.org"}, "draft of u_net"),
        ("", 5, "5"),
    ],
)
def test_a_stated_reader_counts_more_than_a_number(tmp_path: Path, stated: str, person: object, reader: str) -> None:
    one = task()
    one["data"]["reader"] = stated
    one["annotations"][0]["completed_by"] = person
    films = read(tmp_path, one)
    assert films.films[0].reader == reader
    assert [note.doubt for note in films.notes] == [True] * reader.startswith("draft of ")


def test_two_names_of_the_reader_are_an_error(tmp_path: Path) -> None:
    one = task()
    one["data"]["reader"] = "Anna Ott"
    one["annotations"][0]["completed_by"] = {"email": "eva@example.org"}
    (why,) = reasons(read(tmp_path, one))
    assert why == (
        "the reader in its task's data and the person who annotated differ: correct one, Anna Ott and eva@example.org"
    )


@pytest.mark.parametrize("kind", ["textarea", "rating", "number", "choices"])
def test_what_is_said_of_a_keypoint_does_not_replace_it(tmp_path: Path, kind: str) -> None:
    one = task()
    said = [{**entry, "type": kind, "value": {"x": 1, "y": 1, kind: []}} for entry in results_of(one)]
    one["annotations"][0]["result"] = [*said, *results_of(one)]
    films = read(tmp_path, one)
    assert_boxes(films)
    assert films.notes == ()


def test_two_regions_with_one_id_are_refused(tmp_path: Path) -> None:
    one = task()
    results_of(one).append({**results_of(one)[1], "value": {**results_of(one)[1]["value"], "x": 1}})
    (why,) = reasons(read(tmp_path, one))
    assert "two different regions have one id" in why


def test_only_a_box_is_the_parent_of_a_keypoint(tmp_path: Path) -> None:
    one = task()
    points = [entry for entry in results_of(one) if "parentID" in entry]
    between = [{"type": "relation", "from_id": a["id"], "to_id": b["id"]} for a, b in pairwise(points)]
    joins = [{"type": "relation", "from_id": entry["id"], "to_id": entry.pop("parentID")} for entry in points]
    one["annotations"][0]["result"] = [*results_of(one), *between, *joins]
    assert_boxes(read(tmp_path, one))
    results_of(one).append({"type": "relation", "from_id": "box1", "to_id": points[0]["id"]})
    (why,) = reasons(read(tmp_path, one))
    assert "a keypoint is joined with two boxes: keep one" in why


def test_a_box_without_points_is_remarked_on(tmp_path: Path) -> None:
    one = task()
    for number in range(6):
        results_of(one)[5 * number]["value"]["rectanglelabels"] = [LEVELS[5 - number]]
    one["annotations"][0]["result"] = [e for e in results_of(one) if e.get("parentID") != "box0"]
    films = read(tmp_path, one)
    assert [v.present.any() for v in films.films[0].vertebrae or ()] == [True] * 5 + [False]
    (note,) = [note for note in films.notes if note.doubt]
    assert note.reason.startswith("1 vertebra(e) are boxes without points, read as vertebrae without corners")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"data": {"note": "no film"}}, "task 0: its data has 0 films, one is needed: name it image"),
        ({"data": {"image": "//[abc"}}, "task 0: its data has 0 films, one is needed: name it image"),
        ({"data": []}, "task 0: its data must be names and values"),
        ({"id": 1}, "task 0: its data must be names and values"),
        (None, "task 0: its data must be names and values"),
    ],
)
def test_a_task_that_cannot_be_read_leaves_the_others(tmp_path: Path, bad: Any, message: str) -> None:
    films = read(tmp_path, bad, task())
    assert reasons(films) == [message]
    assert len(films.films) == 1


def test_a_note_that_looks_like_an_address_is_no_film(tmp_path: Path) -> None:
    one = task()
    one["data"]["note"] = "//[abc"
    assert_boxes(read(tmp_path, one))


def test_what_a_parser_did_not_foresee_is_a_finding_of_its_file(tmp_path: Path) -> None:
    def parse(path: Path, mapping: Mapping) -> list[Drawing]:
        raise KeyError("Smith^John")

    drawings, bad = read_drawings(tmp_path, [tmp_path / "a.json"], parse, Mapping())
    assert drawings == []
    assert [(finding.file, finding.reason) for finding in bad] == [("a.json", "cannot be read (KeyError)")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.update(annotations=[], predictions=[{"result": []}]),
            "no annotation (only predictions, which are",
        ),
        (lambda t: results_of(t).clear(), "no label: nothing is drawn"),
        (lambda t: results_of(t)[1].update(image_rotation=90), "the film was turned in Label Studio: turn it back"),
        (lambda t: results_of(t)[1].update(original_width=300), "its results give the film several sizes"),
        (lambda t: [r.update(original_width=300) for r in results_of(t)], "the annotations are for 300 x 400 px"),
        (lambda t: results_of(t)[2]["value"].update(keypointlabels=["superior_left"]), "superior_left is listed twice"),
        (lambda t: results_of(t)[2]["value"].update(keypointlabels=[]), "name all or none"),
        (lambda t: results_of(t)[2]["value"].update(keypointlabels=["sup_ant"]), "named left or right, some anterior"),
        (
            lambda t: results_of(t)[1].pop("parentID") and results_of(t)[1]["value"].update(x=1),
            "belongs to no vertebra",
        ),
        (lambda t: results_of(t)[1].update(original_width=[200]), "original_height and original_width must be finite"),
        (lambda t: results_of(t)[1].update(parentID=["box0"]), "the parentID of a result must be the id of a region"),
        (lambda t: results_of(t)[1]["value"].update(choices="hidden"), "the choices of a result must be a list"),
        (lambda t: t["data"].update(facing="up"), "facing must be one of"),
        (lambda t: t["data"].update(labelled="no"), "has a label, but is said to have none"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(tmp_path: Path, change: Any, message: str) -> None:
    one = task()
    change(one)
    (why,) = reasons(read(tmp_path, one))
    assert message in why


def test_a_task_may_say_that_its_film_has_no_label(tmp_path: Path) -> None:
    one = task() | {"annotations": []}
    one["data"] |= {"labelled": "no", "facing": "left", "patient": 7}
    (film,) = read(tmp_path, one).films
    assert film.vertebrae is None
    assert film.facing is Facing.LEFT


def test_films_csv_may_not_contradict_the_task(tmp_path: Path) -> None:
    (tmp_path / "films.csv").write_text("filename,facing,sex\none,left,F\n")
    one = task()
    one["data"]["facing"] = "right"
    (why,) = reasons(read(tmp_path, one))
    assert "facing differs between the annotations and films.csv: correct one" in why
    one["data"]["facing"] = "left"
    (film,) = read(tmp_path, one).films
    assert (film.facing, film.sex) == (Facing.LEFT, "F")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/upload/3/0a1b2c3d-a%20b.png", "a b.png"),
        ("/data/local-files/?d=films/images/a.png", "a.png"),
        ("s3://bucket/x/a.png", "a.png"),
        ("https://example.org/a.jpg?token=1", "a.jpg"),
        ("images\\a.png", "a.png"),
        ("deadbeef.png", "deadbeef.png"),
        ("/data/local-files/?d=images/20240115-smith.png", "20240115-smith.png"),
        ("https://example.org/films/20240115-smith.png", "20240115-smith.png"),
        ("https://example.org/studio/data/upload/3/20240115-smith.png", "smith.png"),
        ("s3://bucket/data/upload/20240115-smith.png", "20240115-smith.png"),
    ],
)
def test_the_film_of_an_address(address: str, name: str) -> None:
    assert film_name(address) == name


@pytest.mark.parametrize(
    ("data", "change", "message"),
    [
        (
            {"image2": "two.png"},
            {"to_name": "image2"},
            "its task has several films, and its results are not on image, so that theirs is unknown: make a task for",
        ),
        ({}, {"to_name": "second"}, "its results are on several films (to_name)"),
        ({"image2": "two.png"}, {"item_index": 1}, "its task has pages (item_index)"),
    ],
)
def test_the_regions_of_two_films_are_not_mixed(tmp_path: Path, data: Task, change: Task, message: str) -> None:
    one = task()
    one["data"] |= data
    assert_boxes(read(tmp_path, one), ("S1", "L5", "L4", "L3", "L2", "L1"))
    results_of(one)[1].update(change)
    (why,) = reasons(read(tmp_path, one))
    assert message in why


def test_results_that_are_all_on_the_second_film_are_not_those_of_the_first(tmp_path: Path) -> None:
    one = task()
    for entry in results_of(one):
        entry["to_name"] = "image2"
    assert reasons(read(tmp_path, one)) == []
    one["data"]["image2"] = "two.png"
    (why,) = reasons(read(tmp_path, one))
    assert "its task has several films, and its results are not on image" in why


def test_choices_may_be_null(tmp_path: Path) -> None:
    one = task()
    results_of(one)[1]["value"]["choices"] = None
    assert_boxes(read(tmp_path, one))


def test_two_tasks_of_one_film_and_the_short_export_are_errors(tmp_path: Path) -> None:
    films = read(tmp_path, task(), task())
    assert [f.reason for f in films.bad_files] == [
        "listed 2 times in the annotations: two labels for one film; keep one"
    ]
    short = [{"image": "one.png", "id": 1, "kp": [{"x": 1, "y": 2, "keypointlabels": ["L5"], "original_width": 9}]}]
    (tmp_path / "export.json").write_text(json.dumps(short))
    assert read_folder(tmp_path).bad_files[0].reason.startswith("is Label Studio's JSON-MIN export")


def test_an_export_named_annotations_is_no_coco(tmp_path: Path) -> None:
    read(tmp_path, task())
    (tmp_path / "export.json").rename(tmp_path / "annotations.json")
    assert find_reader(tmp_path).kind == "label-studio"
    with pytest.raises(DataError, match="has no such layout"):
        read_folder(tmp_path, "coco")


def test_an_invalid_mapping_stops_reading(tmp_path: Path) -> None:
    (tmp_path / "mapping.yaml").write_text("levels: {a: L9}\n")
    with pytest.raises(FileError, match="a level must be"):
        read(tmp_path, task())


def test_the_export_beside_the_tasks_of_its_drafts_is_read_and_they_are_not(tmp_path: Path) -> None:
    labelled = task()
    draft = {"data": labelled["data"], "predictions": [{"result": results_of(labelled)}]}
    films = read(tmp_path, labelled)
    assert len(films.films) == 1
    (tmp_path / "drafts.json").write_text(json.dumps([draft]))
    beside = read_folder(tmp_path)
    assert len(beside.films) == 1
    assert beside.bad_files == ()
    assert DRAFT_BESIDE in [note.reason for note in beside.notes]
    (tmp_path / "drafts.json").write_text(json.dumps([labelled]))
    (twice,) = read_folder(tmp_path).bad_files
    assert "two labels for one film" in twice.reason
    assert "drafts.json" in twice.detail
