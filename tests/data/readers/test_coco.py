"""COCO keypoints: levels, fields of images, and invalid annotations."""

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
from spondylo_ml.landmarks import Facing
from spondylo_ml.spacing import Spacing

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


def test_an_image_states_patient_facing_spacing_and_split(tmp_path: Path) -> None:
    fields = {"patient": 17, "facing": "right", "pixel_spacing_mm": [0.1, 0.2], "split": "val"}
    (film,) = read(tmp_path, lambda tree: tree["images"][0].update(fields)).films
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
    assert reasons(films) == ["its entry has split val, but is in the annotations for train"]


def test_films_may_lie_in_folders_within_images(tmp_path: Path) -> None:
    write_film(tmp_path / "images" / "deep" / "two.png")
    films = read(
        tmp_path, lambda tree: tree["images"].append({"id": 2, "file_name": "deep/two.png", "labelled": False})
    )
    assert films.bad_files == ()
    assert [f.labelled for f in films.films] == [True, False]


def change_keypoints(value: object) -> Callable[[Tree], object]:
    return lambda tree: tree["annotations"][0].update(keypoints=value)


def annotation(**fields: object) -> Callable[[Tree], object]:
    return lambda tree: tree["annotations"][0].update(fields)


IMAGE: Callable[..., Callable[[Tree], object]] = lambda **fields: lambda tree: tree["images"][0].update(fields)  # noqa: E731


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_keypoints([1, 2, 2] * 3), "vertebra 0 has 9 keypoint values, 12 are needed (x, y, visibility)"),
        (change_keypoints(None), "vertebra 0 has no keypoint values, 12 are needed (x, y, visibility)"),
        (
            change_keypoints([1, 2, 5] * 4),
            "vertebra 0: visibility must be 0 (absent), 1 (hidden) or 2 (visible), found 5",
        ),
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
        (IMAGE(split="dev"), "split must be one of train, val, test, found 'dev'"),
        (IMAGE(width=99), "the annotations are for 99 x 400 px, the film is 200 x 400"),
        (IMAGE(pixel_spacing_mm=[1, 2, 3]), "pixel_spacing_mm must be [x, y], or one number for both"),
        (IMAGE(pixel_spacing_mm="wide"), "pixel_spacing_mm must be finite numbers, found 'wide'"),
        (IMAGE(pixel_spacing_mm=-0.1), "image: pixel spacing must be positive, in mm, found -0.1 x -0.1"),
        (IMAGE(labelled=False), 'has annotations, but its image says "labelled": false'),
        (IMAGE(labelled="no"), "labelled must be true or false"),
        (IMAGE(facing=["left"]), "image: facing must be one of left, right, none, unknown, found \"['left']\""),
        (IMAGE(split=["val"]), "split must be one of train, val, test, found \"['val']\""),
        (IMAGE(patient=["p"]), "patient must be a word or a number, found \"['p']\""),
        (IMAGE(width="wide"), "width and height must be whole numbers, found 'wide'"),
        (IMAGE(width=200.5), "width and height must be whole numbers, found '200.5'"),
        (IMAGE(sex=3), "image: sex must be F or M, or left out, found '3'"),
        (IMAGE(age_years=[45]), "image: age_years must be a whole number up to 130, found '[45]'"),
        (IMAGE(pixel_aspect="wide"), "pixel_aspect must be finite numbers, found 'wide'"),
        (
            lambda tree: tree["images"][0].update(pixel_spacing_mm=0.1, pixel_spacing_from={}),
            "pixel_spacing_from must be text, found '{}'",
        ),
        (annotation(category_id=[1]), "vertebra 0: its category must exist and name its keypoints"),
        (annotation(category_id=True), "vertebra 0: its category must exist and name its keypoints"),
        (annotation(iscrowd="no"), "vertebra 0: iscrowd must be 0 or 1, found 'no'"),
        (annotation(num_keypoints=[4]), "vertebra 0: num_keypoints must be a whole number from 0 up, found '[4]'"),
        (annotation(num_keypoints=0), "vertebra 0: num_keypoints is 0, but it has keypoints"),
        (annotation(bbox=[1, 2, -3, 4]), "vertebra 0: bbox must be x, y, width, height"),
        (annotation(bbox=["a", 1, 1, 1]), "vertebra 0: bbox must be finite numbers, found 'a'"),
        (annotation(area=-1), "vertebra 0: area must be a number from 0 up"),
        (annotation(attributes="S1"), "vertebra 0: attributes must be names and values"),
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
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1}, {"id": 1}]}',
            "two categories have the same id",
        ),
        ('{"images": [], "annotations": [], "categories": [{"id": [1]}]}', "each of the categories needs an id"),
        (
            '{"images": [], "images": [], "annotations": [], "categories": []}',
            "has the same name twice in an object: images",
        ),
        ('{"images": ' + "9" * 5000 + "}", "not valid JSON (truncated, or another format)"),
        ('{"images": [3], "annotations": [], "categories": []}', "must be lists of objects"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "images[0] needs an id and a file_name"),
        (
            '{"images": [{"id": 1, "file_name": "../a.png"}], "annotations": [], "categories": []}',
            "images[0]: file_name must be a path below images/",
        ),
        (
            '{"images": [{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}], "annotations": [], '
            '"categories": []}',
            "two images have the same id",
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
    assert reasons(films) == ['no label: no annotation of it; if this is intended, give its image "labelled": false']


def test_a_file_without_any_annotation_holds_unlabelled_films(tmp_path: Path) -> None:
    films = read(tmp_path, lambda tree: tree.update(annotations=[]))
    assert films.bad_files == ()
    assert [f.labelled for f in films.films] == [False]


# ----------------------------------------------------------------------------------------- what is beside the vertebrae


def crowd(tree: Tree) -> None:
    tree["annotations"].append({"image_id": 1, "category_id": 1, "iscrowd": 1, "keypoints": [0] * 12})


def without_keypoints(tree: Tree) -> None:
    tree["annotations"].append({"image_id": 1, "category_id": 1, "num_keypoints": 0, "keypoints": [0] * 12})


def box_of_an_implant(tree: Tree) -> None:
    tree["categories"].append({"id": 77, "name": "implant"})
    tree["annotations"].append({"image_id": 1, "category_id": 77, "bbox": [10, 10, 50, 50], "segmentation": []})


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (crowd, "1 annotation(s) of a crowd skipped"),
        (without_keypoints, "1 annotation(s) without a keypoint skipped"),
        (box_of_an_implant, "1 annotation(s) of a category without keypoints skipped"),
    ],
)
@pytest.mark.parametrize("levels", [False, True])
def test_annotations_that_are_not_vertebrae_are_skipped_and_counted(
    tmp_path: Path, change: Callable[[Tree], object], note: str, levels: bool
) -> None:
    def changed(tree: Tree) -> None:
        for level, entry in zip(("T12", "L1", "L2", "L3", "L4", "L5"), tree["annotations"], strict=True):
            entry["attributes"] = {"level": level} if levels else {}
        change(tree)

    films = read(tmp_path, changed)
    assert films.bad_files == ()
    doubt = not levels and "category" not in note  # a vertebra among the others may be missing
    assert [(n.reason, n.doubt) for n in films.notes] == [(note, doubt)]
    (film,) = films.films
    np.testing.assert_array_equal(corners_of(film), boxes())
    assert (film.vertebrae or ())[0].level == ("L5" if levels else "S1")


@pytest.mark.parametrize("with_category", [False, True])
def test_a_sacrum_may_have_the_two_points_of_its_endplate(tmp_path: Path, with_category: bool) -> None:
    def endplate(tree: Tree) -> None:
        sacrum = tree["annotations"][-1]
        if with_category:
            tree["categories"].append({"id": 2, "name": "sacrum", "keypoints": ["tr", "tl"]})
            points = sacrum["keypoints"]
            sacrum |= {"category_id": 2, "keypoints": [*points[3:6], *points[:3]]}
        else:
            sacrum["keypoints"][6:] = [0, 0, 0, 0, 0, 0]
        sacrum["num_keypoints"] = 2

    (film,) = read(tmp_path, endplate).films
    sacrum, *others = film.vertebrae or ()
    np.testing.assert_array_equal(sacrum.present, [True, True, False, False])
    np.testing.assert_array_equal(sacrum.corners_xy[:2], boxes()[0][:2])
    np.testing.assert_array_equal(np.stack([v.corners_xy for v in others]), boxes()[1:])


def test_sizes_as_text_and_nulls_are_read(tmp_path: Path) -> None:
    fields = {
        "width": "200",
        "height": "400",
        "facing": None,
        "patient": None,
        "split": None,
        "sex": None,
        "age_years": 45.0,
    }
    (film,) = read(tmp_path, lambda tree: tree["images"][0].update(fields)).films
    assert (film.facing, film.patient, film.split, film.sex) == (Facing.UNKNOWN, film.film_id, None, "")
    assert film.age_years == 45


def test_a_file_of_boxes_is_ignored_beside_keypoints_and_bad_alone(tmp_path: Path) -> None:
    def boxes_only(tree: Tree) -> None:
        for entry in tree["annotations"]:
            del entry["keypoints"]

    films = read(tmp_path, boxes_only, "annotations/instances_default.json")
    assert reasons(films) == ["none of its annotations has keypoints: boxes are not labels"]
    films = read(tmp_path, name="annotations/person_keypoints_default.json")
    assert (films.bad_files, len(films.films)) == ((), 1)
    assert [n.reason for n in films.notes] == ["6 annotations without keypoints (boxes, outlines): not read"]


def test_levels_are_not_assumed_where_other_films_name_some_only(tmp_path: Path) -> None:
    """A category for the sacrum alone: a film without one would begin a level too low."""

    def second_film(tree: Tree) -> None:
        tree["categories"].append({"id": 2, "name": "S1", "keypoints": tree["categories"][0]["keypoints"]})
        tree["images"].append({"id": 2, "file_name": "two.png"})
        tree["annotations"] += [entry | {"image_id": 2} for entry in tree["annotations"][:-1]]
        tree["annotations"][5]["category_id"] = 2

    write_film(tmp_path / "images" / "two.png")
    assert reasons(read(tmp_path, second_film)) == [
        "5 of 6 vertebrae have no level: name all or none",
        "names no level, but other films of its file name some: name the level of each vertebra",
    ]


def test_a_level_that_its_category_denies_is_bad(tmp_path: Path) -> None:
    def change(tree: Tree) -> None:
        tree["categories"][0]["name"] = "S1"
        tree["annotations"][0]["attributes"] = {"level": "L1"}

    assert reasons(read(tmp_path, change)) == [
        "vertebra 0: its level and its category name different levels, L1 and S1"
    ]


@pytest.mark.parametrize("folder", ["valid", "Val"])
def test_roboflows_layout_is_read_and_valid_means_val(tmp_path: Path, folder: str) -> None:
    for part, name in (("train", "one.png"), (folder, "two.png"), ("test", "three.png")):
        write_film(tmp_path / part / name)
        tree: Tree = coco_tree(boxes())  # type: ignore[assignment]
        tree["images"][0]["file_name"] = name
        tree["categories"].append({"id": 0, "name": "spine", "supercategory": "none"})
        (tmp_path / part / "_annotations.coco.json").write_text(json.dumps(tree))
    write_film(tmp_path / "test" / "not_listed.png")
    films = read_folder(tmp_path)
    assert films.kind == "coco"
    assert [(f.file, f.reason) for f in films.bad_files] == [
        ("not_listed.png", "no label: not listed in any annotation file")
    ]
    assert {film.path.name: film.split for film in films.films if film.path} == {
        "one.png": "train",
        "two.png": "val",
        "three.png": "test",
    }
    np.testing.assert_array_equal(corners_of(films.films[0]), boxes())
    (single,) = read_folder(tmp_path / "train").films
    assert single.labelled


def test_films_may_lie_in_a_folder_of_their_part(tmp_path: Path) -> None:
    write_film(tmp_path / "images" / "val2017" / "one.png")
    tree = coco_tree(boxes())
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "person_keypoints_val2017.json").write_text(json.dumps(tree))
    films = read_folder(tmp_path)
    assert films.bad_files == ()
    assert [film.split for film in films.films] == ["val"]
