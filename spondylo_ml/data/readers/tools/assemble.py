"""Make the corners of vertebrae from the points of a drawing: whose they are, which corner, and on which side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.clinical.outlines import signed_area_px2
from spondylo_ml.data.readers.remarks import Remark
from spondylo_ml.data.readers.tools.arrange import ARRANGED, arrange
from spondylo_ml.data.readers.tools.drawing import Drawing, DrawnBody, DrawnPoint, Words
from spondylo_ml.data.readers.tools.mapping import MAPPING
from spondylo_ml.data.readers.tools.point_names import Meaning, PointNames
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import CORNERS, MIRRORED_CORNERS, PATIENT_CORNERS, Facing, FloatArray, level_name

MOST_NAMES = 6
WITHOUT_POINTS = (
    "{} vertebra(e) are boxes without points, read as vertebrae without corners: place the points, or delete the boxes"
)
FACING_FROM_NAMES = "facing {}: from the sides of the corners that are named anterior"


@dataclass(frozen=True)
class Body:
    """The points of one vertebra, with what their names mean."""

    slot: int | None
    points: tuple[tuple[Meaning, DrawnPoint], ...]


@dataclass(frozen=True)
class Label:
    """The vertebrae of a film.

    Attributes:
        corners_xy: (V, 4, 2) px in the order of `CORNERS`, NaN where absent.
        visible: (V, 4) whether each corner is visible.
        slots: slot of each level; None where none is named.
        facing: as stated, or else as the names of the corners show.
        remarks: on what was decided.
    """

    corners_xy: FloatArray
    visible: NDArray[np.bool_]
    slots: list[int | None]
    facing: Facing
    remarks: list[Remark]


def unknown_words(drawing: Drawing, names: PointNames) -> list[Words]:
    """The labels of points and bodies that are not understood, each once."""
    words = [body.words for body in drawing.bodies]
    points = [point for body in drawing.bodies for point in body.points if not names.ignores(body.words)]
    words += [point.words for point in (*points, *drawing.loose)]
    unknown = [one for one in words if one and not names.ignores(one) and names.meaning(one) is None]
    return list(dict.fromkeys(unknown))


def bodies_of(drawing: Drawing, names: PointNames) -> list[Body]:
    """The vertebrae of a drawing, in the order of its file.

    Raises:
        FileError: a name that is not understood; a point that belongs to no vertebra; or two levels for one vertebra.
    """
    file = drawing.film
    if unknown := unknown_words(drawing, names):
        found = ", ".join(repr(" ".join(words)[:30]) for words in unknown[:MOST_NAMES])
        raise FileError(
            file,
            f"{len(unknown)} name(s) of points or bodies are not understood: say in {MAPPING} what they mean; `audit` "
            "proposes one",
            f"; found {found}",
        )
    bodies = [_joined(body, names, file) for body in drawing.bodies if not names.ignores(body.words)]
    return [*bodies, *_by_level([p for p in drawing.loose if not names.ignores(p.words)], names, file)]


def label_of(bodies: Sequence[Body], facing: Facing, file: str, scale: FloatArray) -> Label:
    """The corners of vertebrae.

    Args:
        scale: x and y by which coordinates are multiplied to be px.

    Raises:
        FileError: a corner that is listed twice; coordinates that are not finite; names of both kinds; unnamed corners
            that cannot be told apart; or anterior corners that contradict the facing.
    """
    patient = [_names_patient_sides(body, file) for body in bodies]
    placed = [_placed(body, anatomical, file) for body, anatomical in zip(bodies, patient, strict=True)]
    corners = np.stack([xy for xy, _, _ in placed]) * scale
    hidden, named = np.stack([mask for _, mask, _ in placed]), [is_named for _, _, is_named in placed]
    slots = [body.slot for body in bodies]
    n_empty = sum(not body.points for body in bodies)
    remarks = [Remark(WITHOUT_POINTS.format(n_empty), doubt=True)] if n_empty else []
    if any(patient):
        shown = _facing_of(corners[patient], facing, file)
        if facing is Facing.UNKNOWN:
            remarks.append(Remark(FACING_FROM_NAMES.format(shown)))
        facing = shown
        if facing is Facing.RIGHT:
            mirrored = np.flatnonzero(patient)
            corners[mirrored] = corners[mirrored][:, list(MIRRORED_CORNERS)]
            hidden[mirrored] = hidden[mirrored][:, list(MIRRORED_CORNERS)]
    if not all(named):
        corners, hidden = _arranged(corners, hidden, named, slots, file)
        remarks.append(Remark(f"{named.count(False)} of {len(named)} vertebrae have {ARRANGED}"))
    return Label(corners, ~np.isnan(corners[..., 0]) & ~hidden, slots, facing, remarks)


def _joined(body: DrawnBody, names: PointNames, file: str) -> Body:
    whole = names.meaning(body.words) or Meaning()
    if whole.corner:
        raise FileError(file, "a body is named after a corner: name it after its level, and its points after corners")
    points = tuple((names.meaning(point.words) or Meaning(), point) for point in body.points)
    slots = {slot for slot in (whole.slot, *(meaning.slot for meaning, _ in points)) if slot is not None}
    if len(slots) > 1:
        levels = " and ".join(level_name(slot) for slot in sorted(slots))
        raise FileError(file, f"the points of one vertebra name {levels}: join each vertebra's points separately")
    return Body(slots.pop() if slots else None, points)


def _by_level(points: Iterable[DrawnPoint], names: PointNames, file: str) -> list[Body]:
    """Bodies of points that are not joined but name their level."""
    groups: dict[int, list[tuple[Meaning, DrawnPoint]]] = {}
    for point in points:
        meaning = names.meaning(point.words) or Meaning()
        if meaning.slot is None:
            raise FileError(
                file,
                "a point belongs to no vertebra: join the points of each (a box, group or skeleton), or name the level "
                "in their labels, such as L4_superior_left",
            )
        groups.setdefault(meaning.slot, []).append((meaning, point))
    return [Body(slot, tuple(members)) for slot, members in groups.items()]


def _names_patient_sides(body: Body, file: str) -> bool:
    """Whether the corners are named anterior and posterior rather than left and right."""
    sides = {meaning.corner in PATIENT_CORNERS for meaning, _ in body.points if meaning.corner}
    if len(sides) > 1:
        raise FileError(
            file, f"{_name(body)}: some corners are named left or right, some anterior or posterior: use one"
        )
    return sides == {True}


def _placed(body: Body, anatomical: bool, file: str) -> tuple[FloatArray, NDArray[np.bool_], bool]:
    """(4, 2) coordinates in the order of the names, (4,) which are hidden, and whether the corners have names."""
    corners, hidden = np.full((4, 2), np.nan), np.zeros(4, dtype=bool)
    named = [meaning.corner is not None for meaning, _ in body.points]
    if any(named) and not all(named):
        raise FileError(file, f"{_name(body)}: some of its points name a corner and some do not: name all or none")
    if len(body.points) > 4:
        raise FileError(file, f"{_name(body)}: {len(body.points)} points, a vertebra has at most 4")
    order = PATIENT_CORNERS if anatomical else CORNERS
    present = [(meaning, point) for meaning, point in body.points if point.xy is not None]
    for place, (meaning, point) in enumerate(present):
        index = order.index(meaning.corner) if meaning.corner else place
        if not np.isnan(corners[index, 0]):
            raise FileError(file, f"{_name(body)}: its corner {order[index]} is listed twice: keep one")
        corners[index] = point.xy
        hidden[index] = point.hidden
    return corners, hidden, all(named)


def _arranged(
    corners: FloatArray, hidden: NDArray[np.bool_], named: list[bool], slots: list[int | None], file: str
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Corners in the order of `CORNERS`, and the hidden marks moved with them."""
    arranged = arrange(corners, named, slots, file)
    moved = np.zeros_like(hidden)
    for index in range(len(corners)):
        for place in np.flatnonzero(~np.isnan(arranged[index, :, 0])):
            source = np.flatnonzero((corners[index] == arranged[index, place]).all(axis=1))
            moved[index, place] = hidden[index, source[0]]
    return arranged, moved


def _facing_of(quads: FloatArray, stated: Facing, file: str) -> Facing:
    """The side of the anterior corners of (V, 4, 2) bodies in the order of `PATIENT_CORNERS`.

    Raises:
        FileError: the bodies contradict each other or the stated facing; or no body is complete and none is stated.
    """
    areas = [signed_area_px2(quad) for quad in quads if not np.isnan(quad).any()]
    shown = {Facing.LEFT if area > 0 else Facing.RIGHT for area in areas}
    if len(shown) > 1:
        raise FileError(
            file,
            "the corners named anterior lie on the left of some vertebrae and on the right of others: correct them",
        )
    if not shown and stated in (Facing.UNKNOWN, Facing.NONE):
        raise FileError(file, "corners are named anterior, but no vertebra has all four: state the facing in films.csv")
    if shown and stated is not Facing.UNKNOWN and shown != {stated}:
        raise FileError(
            file, f"facing is {stated}, but the corners named anterior lie on the {shown.pop()}: correct one"
        )
    return shown.pop() if shown else stated


def _name(body: Body) -> str:
    return "a vertebra" if body.slot is None else level_name(body.slot)
