"""CVAT's files in the ways in which people set up their tasks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reading import boxes, corners_of, one_film, reasons, write_cvat_file, write_film

from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.readers import read_folder
from spondylo_ml.landmarks import CORNERS, LEVELS, Facing


def read(root: Path, shapes: str, meta: str = "", image: str = "") -> FilmSet:
    write_film(root / "images" / "one.png")
    write_cvat_file(root, shapes, meta, image)
    return read_folder(root)


def pairs(quad: list[list[object]], order: tuple[int, ...] = (0, 1, 2, 3)) -> str:
    return ";".join(f"{quad[i][0]:.2f},{quad[i][1]:.2f}" for i in order)


def skeleton(
    level: str, quad: list[list[object]], outside: tuple[int, ...] = (), occluded: tuple[int, ...] = ()
) -> str:
    points = "".join(
        f'<points label="{name}" outside="{int(i in outside)}" occluded="{int(i in occluded)}" points="{x},{y}"/>'
        for i, (name, (x, y)) in enumerate(zip(CORNERS, quad, strict=True))
    )
    return f'<skeleton label="vertebra" z_order="0">{points}<attribute name="level">{level}</attribute></skeleton>'


def skeletons() -> list[str]:
    return [skeleton(level, quad) for level, quad in zip(LEVELS, boxes(), strict=False)]


def assert_boxes(films: FilmSet) -> None:
    assert reasons(films) == []
    (film,) = films.films
    assert [v.level for v in film.vertebrae or ()] == list(LEVELS[:6])
    np.testing.assert_allclose(corners_of(film), np.array(boxes(), dtype=float))


def test_a_point_outside_is_absent_and_an_occluded_one_is_hidden(tmp_path: Path) -> None:
    first = skeleton("S1", boxes()[0], outside=(2, 3), occluded=(1,))
    (film,) = read(tmp_path, "".join([first, *skeletons()[1:]])).films
    sacrum = (film.vertebrae or ())[0]
    np.testing.assert_array_equal(sacrum.present, [True, True, False, False])
    np.testing.assert_array_equal(sacrum.visible, [True, False, False, False])
    np.testing.assert_array_equal(sacrum.corners_xy[:2], np.array(boxes()[0][:2], dtype=float))


def test_the_level_may_be_the_label_of_the_skeleton(tmp_path: Path) -> None:
    shapes = "".join(skeletons())
    for level in LEVELS[:6]:
        named = f'<skeleton label="{level}" z_order="0">'
        start = shapes.index('<skeleton label="vertebra" z_order="0">')
        shapes = shapes[:start] + shapes[start:].replace('<skeleton label="vertebra" z_order="0">', named, 1)
        shapes = shapes.replace(f'<attribute name="level">{level}</attribute>', "")
    assert_boxes(read(tmp_path, shapes))


def test_polygons_points_and_groups(tmp_path: Path) -> None:
    polygon = f'<polygon label="S1" points="{pairs(boxes()[0], (3, 2, 0, 1))}" z_order="0"/>'
    points = f'<points label="L5" points="{pairs(boxes()[1], (2, 0, 3, 1))}" z_order="0"/>'
    group = '<box label="L4" xtl="1" ytl="1" xbr="2" ybr="2" rotation="15.00" group_id="3"/>' + "".join(
        f'<points label="{name}" points="{x},{y}" group_id="3"/>'
        for name, (x, y) in zip(("TL", "TR", "BL", "BR"), boxes()[2], strict=True)
    )
    in_box = '<box label="L3" xtl="70" ytl="140" xbr="130" ybr="200"/>' + "".join(
        f'<points label="{name}" points="{x},{y}"/>' for name, (x, y) in zip(CORNERS, boxes()[3], strict=True)
    )
    films = read(tmp_path, polygon + points + group + in_box + "".join(skeletons()[4:]) + '<polyline label="x"/>')
    assert_boxes(films)
    assert [note.reason for note in films.notes] == [
        "1 shape(s) that are no points, boxes, skeletons or polygons: skipped",
        "2 of 6 vertebrae have corners without names: told apart by their position",
    ]
    turned = in_box.replace('ybr="200"', 'ybr="200" rotation="15.00"')
    (why,) = reasons(read(tmp_path, turned))
    assert "a box is turned, so that the points in it cannot be told" in why


def test_film_fields_subset_and_reader(tmp_path: Path) -> None:
    tag = '<tag label="film"><attribute name="facing">left</attribute><attribute name="patient">p</attribute></tag>'
    meta = "<owner><username>boss</username></owner><assignee><username>ott</username></assignee>"
    (film,) = read(tmp_path, "".join(skeletons()) + tag, meta, ' subset="Validation"').films
    assert (film.facing, film.split, film.reader) == (Facing.LEFT, "val", "ott")
    (film,) = read(tmp_path, "".join(skeletons()), "<owner><username>boss</username></owner>").films
    assert film.reader == ""
    named = tag.replace("</tag>", '<attribute name="reader">Anna Ott</attribute></tag>')
    films = read(tmp_path, "".join(skeletons()) + named, meta)
    assert films.films[0].reader == "Anna Ott"
    assert [(note.reason, note.doubt) for note in films.notes] == [
        ("the attribute reader of its tag and the assignee differ: the attribute is taken", False)
    ]


def test_an_image_without_shapes_needs_to_say_so(tmp_path: Path) -> None:
    (why,) = reasons(read(tmp_path, ""))
    assert "no label: nothing is drawn" in why
    (film,) = read(tmp_path, '<tag label="film"><attribute name="labelled">no</attribute></tag>').films
    assert film.vertebrae is None


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ('<points label="L5" points="1,2;3"/>', "points must be x,y, separated by semicolons"),
        ('<points label="superior_left" points="1,2"/>', "a point belongs to no vertebra"),
        (f'<polygon label="L5" points="{pairs(boxes()[0], (0, 1, 2))}"/>', "L5: 3 point(s) without names"),
        (
            f'<polygon label="L5" points="{pairs(boxes()[0], (0, 1, 2, 3, 0))}"/>',
            "L5: 5 points, a vertebra has at most 4",
        ),
        (skeleton("L5", boxes()[1]) * 2, "two vertebrae are labelled L5"),
        (skeleton("L9", boxes()[1]), "1 name(s) of points or bodies are not understood"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(tmp_path: Path, shapes: str, message: str) -> None:
    (why,) = reasons(read(tmp_path, shapes))
    assert message in why


def test_a_box_without_points_is_remarked_on(tmp_path: Path) -> None:
    box = '<box label="S1" xtl="1" ytl="1" xbr="2" ybr="2"/>'
    films = read(tmp_path, box + "".join(skeletons()[1:]))
    assert len(films.films[0].vertebrae or ()) == 6
    assert [(note.reason, note.doubt) for note in films.notes] == [
        (
            "1 vertebra(e) are boxes without points, read as vertebrae without corners: place the points, or delete "
            "the boxes",
            True,
        )
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<version>", '<track id="0"/><version>', "is CVAT for video: export as CVAT for images 1.1"),
        ("</annotations>", "", "not valid XML"),
        ("<annotations>", '<!DOCTYPE a [<!ENTITY x "y">]><annotations>', "has a document type (<!DOCTYPE ...>)"),
        ('name="one.png"', "", "an image has no name"),
        ('encoding="utf-8"', 'encoding="gb2312"', "its encoding is not supported: save it as UTF-8"),
        ('encoding="utf-8"', 'encoding="no-such"', "its encoding is not supported: save it as UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = one_film("cvat", tmp_path) / "annotations.xml"
    path.write_text(path.read_text().replace(old, new))
    assert message in reasons(read_folder(tmp_path))[0]
