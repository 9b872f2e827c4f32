"""3D Slicer's Markups: `<film>.mrk.json` or `<film>.fcsv` beside the film.

A vertebra is points whose labels name level and corner, such as L5_superior_left; or a closed curve of four points, or
a list of points, named after the level. A point whose position is undefined or missing is an absent corner, as is one
that is not listed; one that was about to be placed (preview) is skipped; one with the description `hidden` cannot be
seen. `films.csv` holds what is known about films.

Positions are mm, in LPS (x to the patient's left, y backward) or RAS, where both have the other sign. Slicer shows a
film with its columns along L and its rows along P, the centre of the first pixel at 0, so that x and y in LPS are px
times the mm per px that Slicer takes from the file (see `slicer_spacing`), or `mm_per_px` in `mapping.yaml`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.readers.fields import finite_numbers, parse_floats, read_json
from spondylo_ml.data.readers.remarks import Remark
from spondylo_ml.data.readers.text import decode_text
from spondylo_ml.data.readers.tools import dataset
from spondylo_ml.data.readers.tools.drawing import Drawing, DrawnBody, DrawnPoint
from spondylo_ml.data.readers.tools.mapping import Mapping as NameMapping
from spondylo_ml.data.readers.tools.slicer_spacing import slicer_mm_per_px
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import FloatArray

SUFFIXES = (".json", ".fcsv")
MARKUPS, FIDUCIALS = ".mrk.json", ".fcsv"
HIDDEN, UNDEFINED, PREVIEW, DEFINED, MISSING = "hidden", "undefined", "preview", "defined", "missing"
STATUSES = (UNDEFINED, PREVIEW, DEFINED, MISSING)
"""Whether a point has a position, in the order of Slicer's numbers for it."""

ABSENT = (UNDEFINED, MISSING)
LARGEST_DEPTH_MM = 1.0
"""A film is a plane at depth 0: points further from it were not placed on the film, or the film has another origin."""

_SYSTEMS = {"LPS": 1.0, "1": 1.0, "RAS": -1.0, "0": -1.0}
_COLUMNS = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"


class SlicerReader:
    """Reads the layout described above."""

    kind = "slicer"
    layout = "films in images/, and <film>.mrk.json or <film>.fcsv of 3D Slicer beside them"
    marks: tuple[str, ...] = ("images",)

    def recognises(self, root: Path) -> bool:
        """Whether there are films and a file of Markups."""
        return dataset.has_tool_file(root, SUFFIXES, is_markups)

    def files(self, root: Path) -> list[Path]:
        """The files with annotations."""
        return dataset.tool_files(root, SUFFIXES, is_markups)

    def parse(self, path: Path, mapping: NameMapping) -> list[Drawing]:
        """The drawing of the file's film; what is wrong with the file is the error of the drawing."""
        drawing = Drawing(path, film_of(path), unit="mm")
        try:
            read = _fcsv if path.name.lower().endswith(FIDUCIALS) else _json
            return [read(drawing, mapping)]
        except FileError as error:
            return [replace(drawing, error=error)]

    def read(self, root: Path) -> FilmSet:
        """All films that have a file."""
        return dataset.read_dataset(self.kind, root, self.files(root), self.parse, px_per_mm)


def is_markups(path: Path) -> bool:
    """Whether a file is one of Markups, by its name."""
    return path.name.lower().endswith((MARKUPS, FIDUCIALS))


def film_of(path: Path) -> str:
    """The name of the film, without suffix."""
    suffix = MARKUPS if path.name.lower().endswith(MARKUPS) else FIDUCIALS
    return path.name[: -len(suffix)]


def px_per_mm(image: Path, drawing: Drawing, mapping: NameMapping) -> FloatArray:
    """Scale of x and y from mm to px.

    Raises:
        FileError: the mm per px that Slicer used are not certain.
    """
    return 1 / np.array(mapping.mm_per_px or slicer_mm_per_px(image))


def _json(drawing: Drawing, mapping: NameMapping) -> Drawing:
    tree = read_json(drawing.file)
    nodes = tree.get("markups") if isinstance(tree, dict) else None
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise FileError(drawing.file.name, "markups must be a list of objects, as 3D Slicer writes them")
    bodies, loose = list[DrawnBody](), list[DrawnPoint]()
    for node in nodes:
        points = _control_points(node, drawing.film)
        named = mapping.names.meaning([str(node.get("name") or "")])
        if node.get("type") == "ClosedCurve" or (named and named.slot is not None):
            bodies.append(DrawnBody((str(node.get("name") or ""),), points))
        else:
            loose += points
    n_preview = sum(entry.get("positionStatus") == PREVIEW for node in nodes for entry in node["controlPoints"])
    return replace(drawing, bodies=tuple(bodies), loose=tuple(loose), remarks=_preview_remarks(n_preview))


def _control_points(node: Mapping[str, Any], film: str) -> tuple[DrawnPoint, ...]:
    sign = _sign(str(node.get("coordinateSystem", "LPS")), film)
    units = node.get("coordinateUnits", "mm")
    if units != "mm" and (not isinstance(units, list) or units[:1] != ["mm"]):
        raise FileError(film, "coordinateUnits must be mm")
    entries = node.get("controlPoints")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise FileError(film, "controlPoints must be a list of objects, as 3D Slicer writes them")
    points = []
    for entry in entries:
        status = entry.get("positionStatus", DEFINED)
        if status not in STATUSES:
            raise FileError(
                film, f"positionStatus must be one of {', '.join(STATUSES)}", f", found {str(status)[:20]!r}"
            )
        if status == PREVIEW:
            continue
        position = entry.get("position")
        if status not in ABSENT and (not isinstance(position, list) or len(position) != 3):
            raise FileError(film, "the position of a point must be [x, y, z]")
        numbers = None if status in ABSENT else finite_numbers(position or (), film, "positions")
        points.append(_point(entry.get("label"), numbers, sign, entry.get("description"), film))
    return tuple(points)


def _fcsv(drawing: Drawing, mapping: NameMapping) -> Drawing:
    try:
        text = decode_text(drawing.file.read_bytes(), drawing.file.name)
    except OSError as error:
        raise FileError(drawing.file.name, f"cannot be opened ({type(error).__name__})") from None
    header = [line[1:].partition("=") for line in text.splitlines() if line.startswith("#")]
    stated = {name.strip(): value.strip() for name, _, value in header}
    # Before version 4.6 the file had no line with the system, and positions were RAS.
    sign = _sign(stated.get("CoordinateSystem", "RAS"), drawing.film)
    names = [name.strip() for name in stated.get("columns", _COLUMNS).split(",")]
    if not {"x", "y", "z", "label"} <= set(names):
        raise FileError(drawing.file.name, "its line of columns must name x, y, z and label")
    rows = csv.reader(io.StringIO("\n".join(line for line in text.splitlines() if not line.startswith("#"))))
    filled = [row for row in rows if any(row)]
    statuses = [_status(row[len(names) :], drawing.film) for row in filled]
    loose = tuple(
        _row(dict(zip(names, row, strict=False)), status in ABSENT, sign, drawing.film)
        for row, status in zip(filled, statuses, strict=True)
        if status != PREVIEW
    )
    return replace(drawing, loose=loose, remarks=_preview_remarks(statuses.count(PREVIEW)))


def _status(surplus: Sequence[str], film: str) -> str:
    """Status of a row's position: Slicer writes its number, then another one, after the cells that it names."""
    if not surplus:
        return DEFINED
    if len(surplus) > 2 or surplus[0] not in map(str, range(len(STATUSES))) or not all(c.isdecimal() for c in surplus):
        raise FileError(
            film,
            "a row has more cells than the line of columns: only the number of the position's status, 0 to 3, and one "
            "more number may follow",
        )
    return STATUSES[int(surplus[0])]


def _row(cells: Mapping[str, str], absent: bool, sign: float, film: str) -> DrawnPoint:
    if any(name not in cells for name in ("x", "y", "z", "label")):
        raise FileError(film, "a row has fewer cells than the line of columns")
    numbers = None if absent else parse_floats([cells[axis] for axis in "xyz"], film, "positions")
    return _point(cells["label"], numbers, sign, cells.get("desc"), film)


def _preview_remarks(count: int) -> tuple[Remark, ...]:
    return (Remark(f"{count} point(s) were about to be placed (preview): skipped"),) if count else ()


def _point(label: object, position: Sequence[float] | None, sign: float, description: object, film: str) -> DrawnPoint:
    words = (str(label),) if label not in (None, "") else ()
    if position is None:
        return DrawnPoint(words, None)
    _require_on_film(position[2:], film)
    return DrawnPoint(words, (sign * position[0], sign * position[1]), description == HIDDEN)


def _require_on_film(depths_mm: Iterable[float], film: str) -> None:
    if any(abs(depth) > LARGEST_DEPTH_MM for depth in depths_mm):
        raise FileError(
            film, "a point does not lie in the plane of the film (z is not 0): load the film alone, and place it again"
        )


def _sign(system: str, film: str) -> float:
    if system not in _SYSTEMS:
        raise FileError(film, "coordinateSystem must be LPS or RAS", f", found {system[:20]!r}")
    return _SYSTEMS[system]
