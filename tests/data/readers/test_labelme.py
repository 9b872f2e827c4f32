"""LabelMe's files in the ways in which people label."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from reading import boxes, corners_of, labelme_shape, reasons, write_film, write_labelme_file

from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.readers import find_reader, read_folder
from spondylo_ml.data.writers.dataset import write_dataset
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import CORNERS, LEVELS, Facing

Shapes = list[dict[str, object]]
ONE_BOX_WITHOUT_POINTS = (
    "1 vertebra(e) are boxes without points, read as vertebrae without corners: place the points, or delete the boxes"
)


def read(root: Path, shapes: Shapes, **more: object) -> FilmSet:
    write_film(root / "images" / "one.png")
    write_labelme_file(root, shapes, **more)
    return read_folder(root)


def named(start: int = 0) -> Shapes:
    """Points that name level and corner."""
    return [
        labelme_shape(f"{level} {name}", [xy])
        for level, quad in list(zip(LEVELS, boxes(), strict=False))[start:]
        for name, xy in zip(CORNERS, quad, strict=True)
    ]


def assert_boxes(films: FilmSet) -> None:
    assert reasons(films) == []
    (film,) = films.films
    assert [v.level for v in film.vertebrae or ()] == list(LEVELS[:6])
    np.testing.assert_array_equal(corners_of(film), np.array(boxes(), dtype=float))


def test_points_groups_rectangles_and_polygons(tmp_path: Path) -> None:
    quads = boxes()
    polygon = [labelme_shape("S1", [quads[0][i] for i in (1, 0, 2, 3)], "polygon")]
    group = [labelme_shape(c, [xy], group_id=4) for c, xy in zip(("tl", "tr", "bl", "br"), quads[1], strict=True)]
    group.append(labelme_shape("L5", [[70, 260], [130, 320]], "rectangle", group_id=4))
    levels = [labelme_shape("L4", [quads[2][i]], group_id=5) for i in (3, 1, 0, 2)]
    inside = [labelme_shape(name, [xy]) for name, xy in zip(CORNERS, quads[3], strict=True)]
    inside.append(labelme_shape("L3", [[130, 200], [70, 140]], "rectangle"))
    line = [labelme_shape("ruler", [[0, 0], [9, 9]], "line")]
    films = read(tmp_path, [*polygon, *group, *levels, *inside, *named(4), *line])
    assert_boxes(films)
    assert [note.reason for note in films.notes] == [
        "1 shape(s) that are no points, rectangles or polygons: skipped",
        "2 of 6 vertebrae have corners without names: told apart by their position",
    ]


def test_a_rectangle_in_a_group_without_points_is_a_box_like_any_other(tmp_path: Path) -> None:
    inside = [labelme_shape(name, [xy]) for name, xy in zip(CORNERS, boxes()[0], strict=True)]
    box = labelme_shape("S1", [[70, 320], [130, 380]], "rectangle", group_id=1)
    films = read(tmp_path, [*inside, box, *named(1)])
    assert_boxes(films)
    assert films.notes == ()
    films = read(tmp_path, [labelme_shape("S1", [[1, 1], [2, 2]], "rectangle", group_id=1), *named(1)])
    (film,) = films.films
    assert [v.level for v in film.vertebrae or () if not v.present.any()] == ["S1"]
    assert [note.reason for note in films.notes] == [ONE_BOX_WITHOUT_POINTS]


def test_a_file_whose_image_stands_before_its_shapes_is_recognised(tmp_path: Path) -> None:
    read(tmp_path, named())
    path = tmp_path / "images" / "one.json"
    tree = json.loads(path.read_text())
    shapes = tree.pop("shapes")
    tree["imageData"] = "A" * (1 << 17)
    path.write_text(json.dumps({**tree, "shapes": shapes}))
    assert find_reader(tmp_path).kind == "labelme"
    assert_boxes(read_folder(tmp_path))
    path.write_text('{"imagePath": "one.png", "note": 1}')
    with pytest.raises(DataError, match="has no such layout"):
        find_reader(tmp_path)


def test_flags_and_fields_of_the_film(tmp_path: Path) -> None:
    shapes = named()
    shapes[0]["flags"] = {"hidden": True}
    fields = {"facing": "right", "age_years": 60, "reader": "Ott"}
    (film,) = read(tmp_path, shapes, film=fields, imagePath="..\\images\\one.png").films
    np.testing.assert_array_equal((film.vertebrae or ())[0].visible, [False, True, True, True])
    assert (film.facing, film.age_years, film.reader) == (Facing.RIGHT, 60, "Ott")


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([labelme_shape("superior_left", [[1, 2]])], "a point belongs to no vertebra"),
        ([labelme_shape("L5", [[1, 2], [3, 4]])], "a point has 2 points"),
        ([labelme_shape("L5", [[1, 2], [3]], "polygon")], "the points of a shape must be pairs"),
        ([labelme_shape("L5 tl", [[1, 2]]), labelme_shape("L5 TL", [[3, 4]])], "superior_left is listed twice"),
        ([], "no label: nothing is drawn"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(tmp_path: Path, shapes: Shapes, message: str) -> None:
    (why,) = reasons(read(tmp_path, shapes))
    assert message in why


def test_a_vertebra_without_a_corner_is_listed_as_a_loss(tmp_path: Path) -> None:
    films = read(tmp_path / "first", [labelme_shape("L5", [[1, 1], [2, 2]], "rectangle"), *named(2)])
    (film,) = films.films
    assert [v.present.any() for v in film.vertebrae or ()] == [False, True, True, True, True]
    assert [(note.reason, note.doubt) for note in films.notes] == [(ONE_BOX_WITHOUT_POINTS, True)]
    losses = write_dataset(films, "labelme", tmp_path / "second").losses
    assert [str(loss) for loss in losses] == ["vertebrae: 1 film(s)"]
    for kind in ("label-studio", "cvat", "slicer"):
        assert write_dataset(films, kind, tmp_path / kind).losses == ()
