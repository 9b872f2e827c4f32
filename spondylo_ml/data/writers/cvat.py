"""Write "CVAT for images 1.1", and the labels of its project.

Each vertebra is a skeleton with the attribute `level`; an absent corner is a point outside, a hidden one is occluded.
What is known about a film is in the attributes of a tag.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from spondylo_ml.data.readers.film_row import COLUMNS
from spondylo_ml.data.writers.base import PlacedFilm, images_folder
from spondylo_ml.data.writers.films_table import known_cells
from spondylo_ml.landmarks import CORNERS, LEVELS, OUTLINE, Film, Vertebra

ANNOTATIONS, LABELS = "annotations.xml", "cvat_labels.json"
SKELETON, TAG = "vertebra", "film"
_PICTURE_XY = ((20, 20), (80, 20), (20, 80), (80, 80))
"""Where the corners lie in the picture of the skeleton, percent."""


class CvatWriter:
    """Writes films in `images/` and the two files beside it."""

    kind = "cvat"
    needs_parts = False

    def place(self, film: Film) -> str | None:
        """The folder of the film's split, if it has one."""
        return images_folder(film)

    def write_labels(self, films: Sequence[PlacedFilm], to: Path) -> None:
        """Write the annotations of all films, and the labels."""
        drawn = [(placed, placed.film.vertebrae or (), known_cells(placed.film)) for placed in films]
        write_annotations(drawn, to, "manual")


def write_annotations(
    films: Sequence[tuple[PlacedFilm, Sequence[Vertebra], dict[str, str]]], to: Path, source: str
) -> None:
    """Write the annotations of films, and the labels of a project that can import them.

    Args:
        films: each with its vertebrae and the attributes of its tag.
        source: manual or auto.
    """
    extra = sorted({name for _, _, cells in films for name in cells} - set(COLUMNS))
    labels = _labels(extra)
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    _add_labels(SubElement(SubElement(SubElement(root, "meta"), "task"), "labels"), labels)
    for number, (placed, vertebrae, cells) in enumerate(films):
        _add_image(root, number, placed, vertebrae, cells, source)
    indent(root)
    ElementTree(root).write(to / ANNOTATIONS, encoding="utf-8", xml_declaration=True)
    (to / LABELS).write_text(json.dumps(labels, indent=1), encoding="utf-8")


def _add_labels(parent: Element, labels: Sequence[dict[str, Any]], of: str = "") -> None:
    """The labels as CVAT's export has them; other programs look up there which labels exist.

    Args:
        of: the skeleton that the labels are points of.
    """
    for label in labels:
        element = SubElement(parent, "label")
        for name in ("name", "type", "svg"):
            if name in label:
                SubElement(element, name).text = label[name]
        attributes = SubElement(element, "attributes")
        for attribute in label["attributes"]:
            one = SubElement(attributes, "attribute")
            for name in ("name", "mutable", "input_type", "default_value"):
                SubElement(one, name).text = str(attribute[name])
            SubElement(one, "values").text = "\n".join(attribute["values"])
        if of:
            SubElement(element, "parent").text = of
        _add_labels(parent, label.get("sublabels", ()), label["name"])


def _add_image(
    root: Element,
    number: int,
    placed: PlacedFilm,
    vertebrae: Sequence[Vertebra],
    cells: dict[str, str],
    source: str,
) -> None:
    height, width = placed.film.size_hw
    size = {"width": str(width), "height": str(height)}
    image = SubElement(
        root, "image", {"id": str(number), "name": placed.image.relative_to("images").as_posix(), **size}
    )
    for vertebra in vertebrae:
        skeleton = SubElement(image, "skeleton", {"label": SKELETON, "source": source, "z_order": "0"})
        for index, corner in enumerate(CORNERS):
            present = bool(vertebra.present[index])
            x, y = vertebra.corners_xy[index] if present else (0.0, 0.0)
            hidden = present and not vertebra.visible[index]
            marks = {"outside": str(int(not present)), "occluded": str(int(hidden))}
            where = {"points": f"{float(x)!r},{float(y)!r}"}
            SubElement(skeleton, "points", {"label": corner, "source": source, **marks, **where})
        SubElement(skeleton, "attribute", {"name": "level"}).text = vertebra.level
    tag = SubElement(image, "tag", {"label": TAG, "source": source})
    for name, cell in cells.items():
        SubElement(tag, "attribute", {"name": name}).text = cell


def _labels(extra: Sequence[str]) -> list[dict[str, Any]]:
    """The labels as CVAT's page of a project takes them, under Raw."""
    level = {"name": "level", "mutable": False, "input_type": "select", "default_value": LEVELS[0], "values": [*LEVELS]}
    points = [{"name": corner, "type": "points", "attributes": []} for corner in CORNERS]
    cells = [
        {"name": name, "mutable": False, "input_type": "text", "default_value": "", "values": [""]}
        for name in (*COLUMNS[1:], *extra)
    ]
    skeleton = {"name": SKELETON, "type": "skeleton", "attributes": [level], "svg": _picture(), "sublabels": points}
    return [skeleton, {"name": TAG, "type": "tag", "attributes": cells}]


def _picture() -> str:
    """The skeleton's picture: its edges, then its points."""
    edges = [
        f'<line x1="{_PICTURE_XY[a][0]}" y1="{_PICTURE_XY[a][1]}" x2="{_PICTURE_XY[b][0]}" y2="{_PICTURE_XY[b][1]}" '
        f'data-type="edge" data-node-from="{a + 1}" data-node-to="{b + 1}"></line>'
        for a, b in zip(OUTLINE, (*OUTLINE[1:], OUTLINE[0]), strict=True)
    ]
    nodes = [
        f'<circle r="1.5" cx="{x}" cy="{y}" data-type="element node" data-element-id="{i}" data-node-id="{i}" '
        f'data-label-name="{corner}"></circle>'
        for i, (corner, (x, y)) in enumerate(zip(CORNERS, _PICTURE_XY, strict=True), start=1)
    ]
    return "".join([*edges, *nodes])
