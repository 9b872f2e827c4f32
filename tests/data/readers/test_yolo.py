"""YOLO-pose folders: splits, classes, order of corners, and invalid lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders import write_rows
from reading import Corners, boxes, corners_of, one_film, reasons, write_film

from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers import read_folder
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Facing


def label_of(root: Path) -> Path:
    return root / "labels" / "train" / "one.txt"


def reason(root: Path) -> str:
    films = read_folder(root)
    assert films.films == ()
    (why,) = reasons(films)
    return why


def test_corners_are_fractions_in_the_order_tl_tr_bl_br_and_the_lowest_vertebra_is_assumed_to_be_s1(
    tmp_path: Path,
) -> None:
    (film,) = read_folder(one_film("yolo", tmp_path)).films
    np.testing.assert_allclose(corners_of(film), boxes())
    assert (film.split, film.facing, film.patient) == ("train", Facing.UNKNOWN, film.film_id)
    assert film.levels_from == "assumed: the lowest labelled vertebra is S1"
    assert film.film_id == pseudonym("one")


def test_classes_may_be_levels(tmp_path: Path) -> None:
    root = one_film("yolo", tmp_path)
    lines = [f"{index}{line[1:]}" for index, line in enumerate(label_of(root).read_text().splitlines())]
    label_of(root).write_text("\n".join(lines))
    (root / "data.yaml").write_text("names: [T12, L1, L2, L3, L4, l5]")
    (film,) = read_folder(root).films
    assert [v.level for v in film.vertebrae or ()] == ["L5", "L4", "L3", "L2", "L1", "T12"]
    assert film.levels_from == "label"


def test_the_order_of_the_corners_may_be_named(tmp_path: Path) -> None:
    def reorder(corners: Corners) -> None:
        corners[:] = [[quad[i] for i in (0, 2, 3, 1)] for quad in corners]

    root = one_film("yolo", tmp_path, reorder)
    (note,) = read_folder(root).notes
    assert "the file lists them as superior_left, inferior_left, inferior_right, superior_right" in note.reason
    for names in ("[tl, bl, br, tr]", "{0: [top-left, bottom_left, Lower Right, superior_right]}"):
        (root / "data.yaml").write_text(f"names: [vertebra]\nkpt_names: {names}")
        np.testing.assert_allclose(corners_of(read_folder(root).films[0]), boxes())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("names: [S1, vertebra]", r"data.yaml: names must be levels \(S1, L5, ..., T1\), all of them or none"),
        ("names: 3", r"names must be a list of classes"),
        ("names: {S1: 0}", r"names must be a list of classes"),
        ("kpt_names: [a, b, c, d]", r"keypoints must be named superior_left, .*, found a, b, c, d"),
        ("kpt_names: [tl, tl, bl, br]", r"keypoints must be named superior_left"),
        ("kpt_names: {0: [tl, tr, bl, br], 1: [tr, tl, bl, br]}", r"kpt_names must be one list of four corners"),
        ("[1, 2", r"not valid YAML"),
        ("names: {0: S1, 0: L5}", r"data.yaml: has the same name twice: 0"),
        ("names: {-1: S1}", r"names must be a list of classes"),
        ("names: [[S1]]", r"each of the names must be a word"),
        ("names: [S1, L5]\nnc: 3", r"nc is not the number of names: 3 and 2"),
        ("kpt_shape: [5, 3]", r"kpt_shape must be \[4, 3\] or \[4, 2\]"),
        ("names: 2020-13-45", r"not valid YAML"),
        ("[1, 2]", r"must hold names and values"),
    ],
)
def test_a_data_yaml_of_the_wrong_form_is_a_data_error(tmp_path: Path, content: str, message: str) -> None:
    root = one_film("yolo", tmp_path)
    (root / "data.yaml").write_text(content)
    with pytest.raises(DataError, match=message):
        read_folder(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty label file"),
        (" \n\n", "empty label file"),
        ("0 .5 .5 .1 .1\n", "line 1 has 5 fields, 17 are needed: it is a box without points"),
        ("0" + " .5" * 17, "line 1 has 18 fields, 17 are needed"),
        ("0" + " .5" * 15 + " x", "line 1 must be finite numbers, found 'x'"),
        ("0.5 0 0 1 1" + " .5 .5 2" * 4, "line 1: a class is a whole number from 0 up, found 0.5"),
        ("-1 0 0 1 1" + " .5 .5 2" * 4, "line 1: a class is a whole number from 0 up, found -1"),
        ("0 320 320 9 9" + " .5 .5 2" * 4, "line 1: the box must be shares of width and height, between 0 and 1"),
        ("0 .5 .5 -1 1" + " .5 .5 2" * 4, "line 1: the box must be shares of width and height, between 0 and 1"),
        (
            "0 0 0 1 1" + " .5 .5" * 4,
            "line 1 has 13 fields, 17 are needed: two values a point are read where data.yaml says kpt_shape: [4, 2]",
        ),
        ("0 0 0 1 1" + " .5 .5 3" * 4, "line 1: visibility must be 0 (absent), 1 (hidden) or 2 (visible), found 3"),
        ("0 0 0 1 1" + " .5 .5 0" * 4, "a vertebra has no visible corner"),
    ],
)
def test_a_label_of_the_wrong_form_is_bad(tmp_path: Path, content: str, message: str) -> None:
    root = one_film("yolo", tmp_path)
    label_of(root).write_text(content)
    assert reason(root) == message


def test_a_label_that_is_no_text_is_bad(tmp_path: Path) -> None:
    root = one_film("yolo", tmp_path)
    label_of(root).write_bytes(b"\xff\xfe\x81")
    assert reason(root) == "not a text file"


def test_a_class_without_a_name_and_a_level_that_comes_twice_are_bad(tmp_path: Path) -> None:
    root = one_film("yolo", tmp_path)
    (root / "data.yaml").write_text("names: {1: S1}")
    assert reason(root) == "line 1: class 0 is not among the names of data.yaml"
    (root / "data.yaml").write_text("names: {0: S1}")
    assert reason(root) == "two vertebrae are labelled S1"


def test_visibility_0_is_absent_1_hidden_2_visible(tmp_path: Path) -> None:
    root = one_film("yolo", tmp_path)
    lines = [line.split() for line in label_of(root).read_text().splitlines()]
    lines[-1][7], lines[-1][10] = "0", "1"
    label_of(root).write_text("\n".join(" ".join(line) for line in lines))
    sacrum = (read_folder(root).films[0].vertebrae or ())[0]
    np.testing.assert_array_equal(sacrum.present, [False, True, True, True])
    np.testing.assert_array_equal(sacrum.visible, [False, False, True, True])


def test_a_flat_folder_has_no_parts(tmp_path: Path) -> None:
    root = one_film("yolo", tmp_path)
    for name in ("images", "labels"):
        for path in (root / name / "train").iterdir():
            path.rename(root / name / path.name)
        (root / name / "train").rmdir()
    (film,) = read_folder(root).films
    assert film.split is None
    assert film.labelled


@pytest.mark.parametrize("name", ["dev", "train2"])
def test_a_folder_that_is_no_part_is_listed(tmp_path: Path, name: str) -> None:
    root = one_film("yolo", tmp_path)
    write_film(root / "images" / name / "two.png")
    (finding,) = read_folder(root).bad_files
    assert finding.file == name
    assert finding.reason == (
        "a folder of images/ that is not read: parts are named train, val (or valid, validation), test"
    )


def test_one_name_in_two_parts_is_bad(tmp_path: Path) -> None:
    root = one_film("yolo", tmp_path)
    (root / "images" / "val").mkdir()
    (root / "labels" / "val").mkdir()
    write_film(root / "images" / "val" / "one.png")
    (root / "labels" / "val" / "one.txt").write_text(label_of(root).read_text())
    films = read_folder(root)
    assert films.films == ()
    assert reasons(films) == [
        f"2 films have this name: rename all but one (this one lies in images/{part}/)" for part in ("train", "val")
    ]


def test_films_csv_says_which_films_have_no_label_on_purpose(tmp_path: Path) -> None:
    root = one_film("yolo", tmp_path)
    write_film(root / "images" / "train" / "two.png")
    assert reasons(read_folder(root)) == ["no label two.txt in labels/train"]
    write_rows(root / "films.csv", [["filename", "labelled", "facing"], ["two.png", "no", "left"]])
    films = read_folder(root)
    assert films.bad_files == films.notes == ()
    assert [f.labelled for f in films.films] == [True, False]
    assert [f.facing for f in films.films] == [Facing.UNKNOWN, Facing.LEFT]
    write_rows(root / "films.csv", [["filename", "labelled"], ["one.png", "no"], ["two.png", "no"]])
    assert reasons(read_folder(root)) == ["has a label, but films.csv says that it has none"]


def test_the_lowest_vertebra_of_an_ap_film_is_taken_for_l5(tmp_path: Path) -> None:
    root = one_film("yolo", tmp_path)
    write_rows(root / "films.csv", [["filename", "facing"], ["one.png", "none"]])
    films = read_folder(root)
    assert (films.films[0].vertebrae or ())[0].level == "L5"
    assert films.films[0].levels_from == "assumed: the lowest labelled vertebra is L5"
    assert films.slots.names[0] == "L5"


def test_an_assumption_stated_in_the_table_is_kept(tmp_path: Path) -> None:
    root = one_film("yolo", tmp_path)
    (root / "films.csv").write_text("filename,levels_from\none,assumed L5\n")
    (film,) = read_folder(root).films
    assert (film.vertebrae or ())[0].level == "L5"
    assert film.levels_from.startswith("assumed: the lowest labelled vertebra is L5")


def test_films_in_folders_below_a_part_are_reported(tmp_path: Path) -> None:
    root = one_film("yolo", tmp_path)
    deeper = root / "images" / "train" / "p02"
    deeper.mkdir(parents=True)
    (film,) = read_folder(root).films
    assert film.path is not None
    (deeper / "two.png").write_bytes(film.path.read_bytes())
    (finding,) = read_folder(root).bad_files
    assert finding.reason == "a folder of train/ that is not read: move its files up"
