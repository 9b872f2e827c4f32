"""From corners in a file to vertebrae: levels, order, and what is wrong with them.

Corners are kept as they are given. What cannot be right is remarked on; nothing is set aside here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.clinical.outlines import OutlineFault, outline_faults
from spondylo_ml.data.levels_from import LOWEST_IS_L5, LOWEST_IS_S1
from spondylo_ml.data.overlaps import overlaps
from spondylo_ml.data.readers.chain import order_from_sacrum
from spondylo_ml.data.readers.remarks import Remark
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import (
    CORNERS,
    LEVELS,
    LEVELS_LABELLED,
    MIRRORED_CORNERS,
    Facing,
    Film,
    FloatArray,
    SlotRange,
    Vertebra,
)

Visible = NDArray[np.bool_]

EXCHANGED = "left and right corners exchanged: the labels are those of a mirrored film"
MAX_SLOTS = 24
OUTSIDE_SHARE = 0.1
"""Share of the film's longer side by which a corner may lie outside it."""

_SIDES = {"top": "superior", "upper": "superior", "bottom": "inferior", "lower": "inferior"}
_SHORT = {"tl": CORNERS[0], "tr": CORNERS[1], "bl": CORNERS[2], "br": CORNERS[3]}


def slot_of_level(name: str) -> int | None:
    """The slot of a level's usual name, such as L5, in any case; None for another word."""
    return LEVELS.index(name.strip().upper()) if name.strip().upper() in LEVELS else None


def corner_places(names: Sequence[object], file: str) -> tuple[int, ...]:
    """Place of each corner of `CORNERS` among the names that a file gives its keypoints.

    Raises:
        FileError: the names are not those of four corners.
    """
    found = [_corner_name(str(name)) for name in names]
    if sorted(found) != sorted(CORNERS):
        allowed = f"{', '.join(CORNERS)} (or top_left ... bottom_right, or tl, tr, bl, br)"
        raise FileError(file, f"keypoints must be named {allowed}", f", found {', '.join(map(str, names))[:80]}")
    return tuple(found.index(corner) for corner in CORNERS)


def require_all_inside(corners_xy: FloatArray, size_hw: tuple[int, int], file: str) -> None:
    """Raise `FileError` where a corner lies far outside the film."""
    height, width = size_hw
    margin = OUTSIDE_SHARE * max(size_hw)
    x, y = corners_xy[..., 0], corners_xy[..., 1]
    outside = (x < -margin) | (x > width - 1 + margin) | (y < -margin) | (y > height - 1 + margin)
    if outside.any():
        far = np.asarray(corners_xy)[outside][0]
        raise FileError(
            file, f"a corner at ({far[0]:.0f}, {far[1]:.0f}) px lies far outside the film of {width} x {height}"
        )


def vertebrae_along_spine(
    corners_xy: FloatArray,
    visible: Visible,
    first_slot: int,
    file: str,
    places: Sequence[int] | None = None,
    mirrored_exports: bool = False,
) -> tuple[tuple[Vertebra, ...], list[Remark]]:
    """Vertebrae of a label without levels, from the lowest up, and what is to be remarked on them.

    Args:
        places: of each corner of `CORNERS` in the file, for a format that lists corners in an order of its own.
        mirrored_exports: the dataset holds mirrored films whose corners have kept their names: left and right are
            exchanged on a label that fits so.

    Raises:
        FileError: a vertebra without any corner, so that its place among the others is unknown.
    """
    if np.isnan(corners_xy[..., 0]).all(axis=1).any():
        raise FileError(file, "a vertebra has no visible corner")
    order, remarks = order_from_sacrum(corners_xy)
    slots = range(first_slot, first_slot + len(order))
    vertebrae = make_vertebrae(corners_xy[order], visible[order], slots)
    if mirrored_exports and any(fault.mirrored for fault in outline_faults(vertebrae)):
        sides = list(MIRRORED_CORNERS)
        vertebrae = tuple(Vertebra(v.slot, v.corners_xy[sides], v.visible[sides]) for v in vertebrae)
        remarks.append(Remark(EXCHANGED))
    return vertebrae, [*remarks, *label_remarks(vertebrae, places)]


def vertebrae_by_level(
    corners_xy: FloatArray, visible: Visible, slots: Sequence[int], file: str, places: Sequence[int] | None = None
) -> tuple[tuple[Vertebra, ...], list[Remark]]:
    """Vertebrae of a label that names each level, from the lowest up, and what is to be remarked on them.

    Raises:
        FileError: two vertebrae of one level.
    """
    if twice := [slot for slot, count in Counter(slots).items() if count > 1]:
        raise FileError(file, f"two vertebrae are labelled {LEVELS[twice[0]]}")
    order = np.argsort(slots)
    vertebrae = make_vertebrae(corners_xy[order], visible[order], [slots[i] for i in order])
    return vertebrae, label_remarks(vertebrae, places)


def vertebrae_of_label(
    corners_xy: FloatArray,
    visible: Visible,
    slots: Sequence[int | None],
    facing: Facing,
    file: str,
    places: Sequence[int] | None = None,
    said_from: str | None = None,
) -> tuple[tuple[Vertebra, ...], str, list[Remark]]:
    """Vertebrae by the levels that a file names, or else by the usual assumption; where the levels come from; remarks.

    Args:
        places: of each corner of `CORNERS` in the file, for a format that lists corners in an order of its own.
        said_from: where the file says that named levels come from, such as an assumption before an export.

    Raises:
        FileError: some vertebrae have a level and some have none, the file says that its labels name levels and they
            do not, or as `by_level` and `from_sacrum`.
    """
    named = [slot for slot in slots if slot is not None]
    if len(named) == len(slots):
        vertebrae, remarks = vertebrae_by_level(corners_xy, visible, named, file, places)
        return vertebrae, said_from or LEVELS_LABELLED, remarks
    if named:
        raise FileError(file, f"{len(slots) - len(named)} of {len(slots)} vertebrae have no level: name all or none")
    if said_from == LEVELS_LABELLED:
        raise FileError(file, "levels_from says that the label names the levels, but its vertebrae have none")
    why = said_from or (LOWEST_IS_L5 if facing == Facing.NONE else LOWEST_IS_S1)
    first = 1 if why == LOWEST_IS_L5 else 0
    vertebrae, remarks = vertebrae_along_spine(corners_xy, visible, first, file, places)
    return vertebrae, why, remarks


def make_vertebrae(corners_xy: FloatArray, visible: Visible, slots: Sequence[int]) -> tuple[Vertebra, ...]:
    """Vertebrae from (V, 4, 2) corners ordered from the sacrum up, as they are."""
    return tuple(Vertebra(slot, quad, seen) for slot, quad, seen in zip(slots, corners_xy, visible, strict=True))


def label_remarks(vertebrae: Sequence[Vertebra], places: Sequence[int] | None = None) -> list[Remark]:
    """What cannot be right about vertebrae from the sacrum up: corners in another order, outlines, bodies listed twice.

    Args:
        places: of each corner of `CORNERS` in the file, for a format that lists corners in an order of its own.
    """
    faults = outline_faults(vertebrae)
    remarks = [Remark(f"{_in_file(fault, places)}; corners kept as given") for fault in faults]
    if any(fault.whole for fault in faults):
        return remarks
    impossible = {slot for fault in faults for slot in fault.slots}
    return remarks + [Remark(str(overlap)) for overlap in overlaps(vertebrae, impossible)]


def slot_range_of(films: Iterable[Film], at_least: int = 10) -> SlotRange:
    """The slots of films of one's own: S1 and up, or L5 and up where all are AP films without a sacrum."""
    chosen = [film for film in films if film.vertebrae]
    used = [v.slot for film in chosen for v in film.vertebrae or ()]
    frontal = bool(used) and min(used) > 0 and all(film.facing == Facing.NONE for film in chosen)
    first = 1 if frontal else 0
    count = max(used, default=0) - first + 1
    return SlotRange(first, min(MAX_SLOTS, count if frontal else max(at_least, count)))


def _in_file(fault: OutlineFault, places: Sequence[int] | None) -> str:
    """The fault; what the corners of a whole label really are is listed in the file's order."""
    if fault.order is None or places is None:
        return str(fault)
    listed = [CORNERS[fault.order[corner]] for corner in np.argsort(places)]
    return (
        f"the whole label has its corners in another order (of most bodies, {fault.reason}); the file lists them as "
        f"{', '.join(listed)}"
    )


def _corner_name(name: str) -> str:
    words = re.split(r"[\s_-]+", name.strip().lower())
    return _SHORT.get(words[0], "_".join(_SIDES.get(word, word) for word in words))
