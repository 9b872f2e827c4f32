"""COCO keypoints: levels, fields of images, and each way in which an annotation can be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reading import boxes, coco_tree, corners_of, one_film, reasons, write_film

from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers import read_folder
from spondylo_ml.landmarks import Facing, Spacing

Tree = dict[str, Any]


def read(root: Path, change: Callable[[Tree], object] = lambda tree: None, name: str = "annotations.json") -> FilmSet:
    """A dataset of one film whose annotations were changed."""
    write_film(root / "images" / "one.png")
    tree: Tree = coco_tree(boxes())  # type: ignore[assignment]
    change(tree)
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(json.dumps(tree), encoding="utf-8")
    return read_folder(root)


def test_corners_go_by_the_names_of_the_keypoints(tmp_path: Path) -> None:
    def rename(tree: Tree) -> None:
        tree["categories"][0]["keypoints"] = ["br", "bl", "tr", "tl"]
        for entry in tree["annotations"]:
            points = np.array(entry["keypoints"]).reshape(4, 3)
            entry["keypoints"] = points[::-1].ravel().tolist()

    for films in (read(tmp_path / "a"), read(tmp_path / "b", rename)):
        assert films.bad_files == films.notes == ()
        np.testing.assert_array_equal(corners_of(films.films[0]), boxes())
        assert films.films[0].levels_from == "assumed: the lowest labelled vertebra is S1"


def test_levels_come_from_attributes_or_categories(tmp_path: Path) -> None:
    def attributes(tree: Tree) -> None:
        for level, entry in zip(("T12", "L1", "L2", "L3", "L4", "L5"), tree["annotations"], strict=True):
            entry["attributes"] = {"level": level}

    def categories(tree: Tree) -> None:
        names = tree["categories"][0]["keypoints"]
        levels = ("T12", "L1", "L2", "L3", "L4", "L5")
        tree["categories"] = [{"id": level, "name": level, "keypoints": names} for level in levels]
        for level, entry in zip(levels, tree["annotations"], strict=True):
            entry["category_id"] = level

    for index, change in enumerate((attributes, categories)):
        (film,) = read(tmp_path / str(index), change).films
        assert [v.level for v in film.vertebrae or ()] == ["L5", "L4", "L3", "L2", "L1", "T12"]
        assert film.levels_from == "label"


def test_an_image_says_patient_facing_spacing_and_part(tmp_path: Path) -> None:
    said = {"patient": 17, "facing": "right", "pixel_spacing_mm": [0.1, 0.2], "split": "val"}
    (film,) = read(tmp_path, lambda tree: tree["images"][0].update(said)).films
    assert (film.patient, film.facing, film.split) == (pseudonym("17"), Facing.RIGHT, "val")
    assert film.spacing == Spacing(0.1, 0.2, "pixel_spacing_mm of the annotations")


@pytest.mark.parametrize(
    ("name", "part"), [("annotations/keypoints_train.json", "train"), ("annotations_val.json", "val")]
)
def test_the_part_may_be_in_the_name_of_the_file(tmp_path: Path, name: str, part: str) -> None:
    (film,) = read(tmp_path, name=name).films
    assert film.split == part


def test_a_part_that_contradicts_the_name_of_the_file_is_bad(tmp_path: Path) -> None:
    films = read(tmp_path, lambda tree: tree["images"][0].update(split="val"), "annotations_train.json")
    assert reasons(films) == ["its entry says split val, but lies in the annotations for train"]


def test_films_may_lie_in_folders_within_images(tmp_path: Path) -> None:
    write_film(tmp_path / "images" / "deep" / "two.png")
    films = read(
        tmp_path, lambda tree: tree["images"].append({"id": 2, "file_name": "deep/two.png", "labelled": False})
    )
    assert films.bad_files == ()
    assert [f.labelled for f in films.films] == [True, False]


def change_keypoints(value: object) -> Callable[[Tree], object]:
    return lambda tree: tree["annotations"][0].update(keypoints=value)


IMAGE: Callable[..., Callable[[Tree], object]] = lambda **fields: lambda tree: tree["images"][0].update(fields)  # noqa: E731


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_keypoints([1, 2, 2] * 3), "vertebra 0 has 9 keypoint values, 12 are needed (x, y, visibility)"),
        (change_keypoints(None), "vertebra 0 has no keypoint values, 12 are needed (x, y, visibility)"),
        (change_keypoints([1, 2, 5] * 4), "vertebra 0: visibility must be 0 (absent), 1 (hidden) or 2 (visible)"),
        (change_keypoints([1, 2, True] * 4), "vertebra 0 must be finite numbers, found True"),
        (change_keypoints([0, 0, 0] * 4), "a vertebra has no visible corner"),
        (
            lambda tree: tree["annotations"][0].update(category_id=9),
            "vertebra 0: its category must exist and name its keypoints",
        ),
        (
            lambda tree: tree["annotations"][0].update(attributes={"level": "L9"}),
            "vertebra 0: level must be S1, L5 ... L1, T12 ... T1, found 'L9'",
        ),
        (
            lambda tree: tree["annotations"][0].update(attributes={"level": "L1"}),
            "5 of 6 vertebrae have no level: name all or none",
        ),
        (IMAGE(facing="up"), "image: facing must be one of left, right, none, unknown, found 'up'"),
        (IMAGE(split="dev"), "split must be one of train, val, test"),
        (IMAGE(width=99), "the annotations are for 99 x 400 px, the film is 200 x 400"),
        (IMAGE(pixel_spacing_mm=[1, 2, 3]), "pixel_spacing_mm must be [x, y], or one number for both"),
        (IMAGE(pixel_spacing_mm="wide"), "pixel_spacing_mm must be finite numbers, found 'wide'"),
        (IMAGE(pixel_spacing_mm=-0.1), "image: pixel spacing must be positive, in mm, found -0.1 x -0.1"),
        (IMAGE(labelled=False), 'has annotations, but its image says "labelled": false'),
        (IMAGE(labelled="no"), "labelled must be true or false"),
        (IMAGE(file_name="gone.png"), "label without its film: listed in the annotations, but missing in images/"),
    ],
)
def test_an_entry_of_the_wrong_form_makes_its_film_bad(
    tmp_path: Path, change: Callable[[Tree], object], message: str
) -> None:
    films = read(tmp_path, change)
    assert films.films == ()
    assert message in reasons(films)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": [{"id": 1, "fi', "not valid JSON (truncated, or another format)"),
        ("", "not valid JSON (truncated, or another format)"),
        ("[]", "images, annotations and categories must be lists of objects, as in COCO keypoints"),
        ('{"images": [], "annotations": []}', "images, annotations and categories must be lists of objects"),
        ('{"images": [3], "annotations": [], "categories": []}', "must be lists of objects"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "images[0] needs an id and a file_name"),
        (
            '{"images": [{"id": 1, "file_name": "../a.png"}], "annotations": [], "categories": []}',
            "images[0]: file_name must be a path below images/",
        ),
        (
            '{"images": [{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}], "annotations": [], '
            '"categories": []}',
            "two images have one id",
        ),
    ],
)
def test_an_annotation_file_of_the_wrong_form_is_bad(tmp_path: Path, content: str, message: str) -> None:
    root = one_film("coco", tmp_path)
    (root / "annotations.json").write_text(content)
    films = read_folder(root)
    assert films.films == ()
    assert films.bad_files[0].file == "annotations.json"
    assert message in reasons(films)[0]


def test_an_annotation_without_its_image_is_bad_and_the_others_are_read(tmp_path: Path) -> None:
    films = read(tmp_path, lambda tree: tree["annotations"].append({"id": 99, "image_id": 5}))
    assert reasons(films) == ["annotations[6] is a label without its film: no image has its image_id"]
    assert len(films.films) == 1


def test_a_film_that_is_listed_twice_has_two_labels(tmp_path: Path) -> None:
    films = read(tmp_path, lambda tree: tree["images"].append({"id": 2, "file_name": "one.png"}))
    assert films.films == ()
    assert reasons(films) == ["listed 2 times in the annotations: two labels for one film; keep one"]


def test_an_image_without_annotations_must_say_that_this_is_meant(tmp_path: Path) -> None:
    write_film(tmp_path / "images" / "two.png")
    films = read(tmp_path, lambda tree: tree["images"].append({"id": 2, "file_name": "two.png"}))
    assert reasons(films) == ['no label: no annotation of it; if that is meant, give its image "labelled": false']


def test_a_file_without_any_annotation_holds_unlabelled_films(tmp_path: Path) -> None:
    films = read(tmp_path, lambda tree: tree.update(annotations=[]))
    assert films.bad_files == ()
    assert [f.labelled for f in films.films] == [False]
