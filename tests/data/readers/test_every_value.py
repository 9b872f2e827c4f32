"""Any invalid value in any label file or table is an error with a message, never a crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import write_image, write_label, write_rows
from reading import SIZE_HW, Corners, boxes, coco_tree, few_above, one_film, reasons, write_film

from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.readers import read_folder
from spondylo_ml.errors import DataError

STRANGE = (None, [], {}, [1], {"a": 1}, "x", "", True, -1, 7, 0.5, float("nan"), float("inf"), 10**400, [[[]]])
FREE = {"id", "file_name", "image_id", "category_id", "patient", "name"}  # any word or number will do
OPTIONAL = {"attributes", "level", "bbox", "area", "iscrowd", "num_keypoints", "facing", "split", "sex", "age_years",
            "pixel_spacing_mm", "pixel_spacing_from", "pixel_aspect", "labelled", "width", "height"}  # fmt: skip


def paths(tree: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to all values in a tree of lists and mappings."""
    if at:
        yield at
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from paths(value, (*at, key))


def changed(tree: Any, at: tuple[Any, ...], value: object) -> Any:
    copy = json.loads(json.dumps(tree))
    inner = copy
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return copy


def read(root: Path) -> FilmSet | None:
    """The dataset; None if reading ends with an error message."""
    try:
        return read_folder(root)
    except DataError:
        return None


def rich_coco() -> dict[str, Any]:
    tree: dict[str, Any] = coco_tree(boxes(1))
    tree["images"][0] |= {
        "patient": "p",
        "facing": "left",
        "pixel_spacing_mm": [0.1, 0.1],
        "pixel_spacing_from": "me",
        "sex": "F",
        "split": "val",
        "age_years": 45,
        "labelled": True,
        "pixel_aspect": 1.0,
    }
    tree["annotations"][0] |= {
        "iscrowd": 0,
        "num_keypoints": 4,
        "bbox": [1, 2, 3, 4],
        "area": 12,
        "attributes": {"level": "S1"},
    }
    return tree


@pytest.mark.parametrize("value", STRANGE, ids=repr)
def test_no_value_in_a_coco_file_causes_a_crash(tmp_path: Path, value: object) -> None:
    tree, root = rich_coco(), few_above(tmp_path)
    write_film(root / "images" / "one.png")
    for at in paths(tree):
        (root / "annotations.json").write_text(json.dumps(changed(tree, at, value)))
        films = read(root)
        messages = films is None or bool(films.bad_files)
        name = next((key for key in reversed(at) if isinstance(key, str)), "")
        absent = value is None and (name in OPTIONAL | FREE)
        container = value in ([], {}, "") and name in OPTIONAL | FREE
        scalar = type(value) in (int, str, float) and not isinstance(value, bool)
        none = at == ("annotations",) and value == []  # a film that is labelled as showing nothing
        same = value is True and name in ("labelled", "iscrowd")
        same |= (at[-1], value) in (("area", [1]), ("attributes", {"a": 1}))
        if not (absent or container or scalar or none or same):
            assert messages, (at, value)


@pytest.mark.parametrize("value", STRANGE, ids=repr)
def test_no_value_of_a_mendeley_json_but_a_number_of_its_range_is_accepted(tmp_path: Path, value: object) -> None:
    root = few_above(tmp_path)
    write_image(root, "train", "one", np.zeros(SIZE_HW, dtype=np.uint8))
    keypoints = [[[*quad[i], 1] for i in (2, 3, 0, 1)] for quad in reversed(boxes(2))]
    tree = {"boxes": [[80, 300, 120, 370]] * 2, "keypoints": keypoints, "labels": [0, 0]}
    for at in paths(tree):
        write_label(root, "train", "one.json", changed(tree, at, value))
        films = read_folder(root)
        is_number = type(value) in (int, float) and np.isfinite(float(str(value)))
        coordinate = is_number and len(at) == 4 and at[3] < 2
        emptied = value == [] and at in (("boxes",), ("labels",))
        box = is_number and at[0] == "boxes" and len(at) == 3 and at[2] < 2
        doubted = any(note.doubt for note in films.notes)
        assert bool(films.bad_files) or doubted or coordinate or emptied or box, (at, value)


@pytest.mark.parametrize(("value", "allowed"), [(-1, False), (7, False), (0.5, False), (0, True), (1, True), (2, True)])
@pytest.mark.parametrize("kind", ["mendeley", "mendeley txt", "coco", "yolo"])
def test_a_visibility_is_0_1_or_2_in_every_format(tmp_path: Path, kind: str, value: float, allowed: bool) -> None:
    root = one_film("yolo" if "txt" in kind else kind, tmp_path)
    if kind == "mendeley":
        (label,) = root.rglob("*.json")
        tree = json.loads(label.read_text())
        tree["keypoints"][1][2][2] = value
        label.write_text(json.dumps(tree))
    elif kind == "coco":
        tree = json.loads((root / "annotations.json").read_text())
        tree["annotations"][1]["keypoints"][2] = value
        (root / "annotations.json").write_text(json.dumps(tree))
    else:
        (label,) = root.rglob("*.txt")
        fields = label.read_text().splitlines()[1].split()
        fields[7] = str(value)
        lines = label.read_text().splitlines()
        label.write_text("\n".join([lines[0], " ".join(fields), *lines[2:]]))
        if "txt" in kind:
            data = root / "Train" / "Keypointrcnn_data"
            data.mkdir(parents=True)
            for name in ("images", "labels"):
                (root / name).rename(data / name)
    why = reasons(read_folder(root))
    assert (why == []) == allowed
    assert allowed or f"visibility must be 0 (absent), 1 (hidden) or 2 (visible), found {value:g}" in why[0]


@pytest.mark.parametrize("value", ["", "x", "nan", "inf", "1e999", "-1", "7", "0.5", "\x00", "é", '"', "9" * 5000])
@pytest.mark.parametrize("kind", ["yolo", "buu", "spineweb16"])
def test_no_field_of_a_text_label_ends_in_a_crash(tmp_path: Path, kind: str, value: str) -> None:
    def few(corners: Corners) -> None:
        del corners[1 if kind == "yolo" else 99 :]

    root = one_film(kind, few_above(tmp_path), few)
    tables = [p for p in root.rglob("*") if p.suffix in (".txt", ".csv")]
    for table in tables:
        text = table.read_text()
        separator = " " if table.suffix == ".txt" else ","
        cells = text.split("\n")[0].split(separator)
        for at in range(min(len(cells), 18)):
            line = separator.join([*cells[:at], value, *cells[at + 1 :]])
            table.write_text("\n".join([line, *text.split("\n")[1:]]), encoding="utf-8")
            films = read(root)
            if kind != "spineweb16" and value in ("x", "nan", "inf", "1e999", "é"):
                assert films is None or films.bad_files, (table.name, at)
        table.write_text(text, encoding="utf-8")


COLUMNS = ["filename", "patient", "facing", "spacing_x_mm", "spacing_y_mm", "labelled", "sex", "age_years"]
ROW = ["one.png", "p", "left", "0.1", "0.1", "yes", "F", "45"]


@pytest.mark.parametrize("value", ["x", "nan", "-1", "1e999", "\x00", "9" * 5000, "[]"])
def test_no_cell_of_films_csv_but_a_name_takes_any_value(tmp_path: Path, value: str) -> None:
    root = one_film("yolo", tmp_path)
    for at, column in enumerate(COLUMNS):
        write_rows(root / "films.csv", [COLUMNS, [*ROW[:at], value, *ROW[at + 1 :]]])
        films = read(root)
        assert films is None or column == "patient", (column, films)


# ------------------------------------------------------------------------------------------------------ strange folders


@pytest.mark.parametrize("name", ["Validation", "valid", "test"])
def test_mendeley_parts_of_other_names_are_read(tmp_path: Path, name: str) -> None:
    root = one_film("mendeley", tmp_path)
    data = root / "Train" / "Keypointrcnn_data"
    for folder in ("images", "labels"):
        (data / folder / "train").rename(data / folder / name)
    films = read_folder(root)
    assert films.bad_files == ()
    assert [film.split for film in films.films] == ["test" if name == "test" else "val"]


@pytest.mark.parametrize(
    ("kind", "places"),
    [
        ("mendeley", ["Train/Keypointrcnn_data/images/dev", "Train/Keypointrcnn_data/images", "Test/more"]),
        ("yolo", ["images/dev", "images/more"]),
        ("buu", ["LA/more"]),
        ("spineweb16", ["images/more"]),
        ("coco", ["images/more"]),
    ],
)
def test_films_in_a_folder_that_is_not_read_are_reported(tmp_path: Path, kind: str, places: list[str]) -> None:
    root = one_film(kind, tmp_path)
    for place in places:
        path = write_film(root / place / "two.png")
        films = read_folder(root)
        assert len(films.films) == 1
        assert [finding.file in (path.name, path.parent.name) for finding in films.bad_files] == [True]
        path.unlink()
        if place != "Train/Keypointrcnn_data/images":
            path.parent.rmdir()


def test_a_mendeley_label_of_several_classes_is_bad(tmp_path: Path) -> None:
    root = one_film("mendeley", tmp_path)
    (label,) = root.rglob("*.json")
    tree = json.loads(label.read_text())
    label.write_text(json.dumps(tree | {"labels": [1] * 6}))
    assert read_folder(root).bad_files == ()
    label.write_text(json.dumps(tree | {"labels": [0, 1, 2, 3, 4, 5]}))
    assert reasons(read_folder(root)) == ["vertebrae of several classes: this layout names no levels and has one class"]
