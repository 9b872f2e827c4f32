"""Turn the corners of a label file into vertebrae: assign levels, order them, and report faults.

Corners are kept as they are in the file; implausible ones get a remark but are not dropped here.
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
from spondylo_ml.data.readers.remarks import Remark
from spondylo_ml.data.readers.vertebra_order import order_from_sacrum
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
MAX_SLOTS = len(LEVELS)
OUTSIDE_SHARE = 0.1
"""A corner may lie outside the film by at most this share of its longer side."""

_SIDES = {"top": "superior", "upper": "superior", "bottom": "inferior", "lower": "inferior"}
_SHORT = {"tl": CORNERS[0], "tr": CORNERS[1], "bl": CORNERS[2], "br": CORNERS[3]}


def slot_of_level(name: str) -> int | None:
    """Slot of a level name such as L5, in any case; None for any other word."""
    return LEVELS.index(name.strip().upper()) if name.strip().upper() in LEVELS else None


def corner_places(names: Sequence[object], file: str) -> tuple[int, ...]:
    """Index of each corner of `CORNERS` among the keypoint names of a file.

    Raises:
        FileError: the names are not those of the four corners.
    """
    corner_names = [_corner_name(str(name)) for name in names]
    if sorted(corner_names) != sorted(CORNERS):
        allowed = f"{', '.join(CORNERS)} (or top_left ... bottom_right, or tl, tr, bl, br)"
        raise FileError(file, f"keypoints must be named {allowed}", f", found {', '.join(map(str, names))[:80]}")
    return tuple(corner_names.index(corner) for corner in CORNERS)


def require_all_inside(corners_xy: FloatArray, size_hw: tuple[int, int], file: str) -> None:
    """Raise `FileError` if a corner lies far outside the film."""
    height, width = size_hw
    margin = OUTSIDE_SHARE * max(size_hw)
    x, y = corners_xy[..., 0], corners_xy[..., 1]
    outside = (x < -margin) | (x > width - 1 + margin) | (y < -margin) | (y > height - 1 + margin)
    if outside.any():
        first = np.asarray(corners_xy)[outside][0]
        raise FileError(
            file, f"a corner at ({first[0]:.0f}, {first[1]:.0f}) px lies far outside the film of {width} x {height}"
        )


def vertebrae_along_spine(
    corners_xy: FloatArray,
    visible: Visible,
    first_slot: int,
    file: str,
    places: Sequence[int] | None = None,
    mirrored_exports: bool = False,
) -> tuple[tuple[Vertebra, ...], list[Remark]]:
    """Vertebrae of a label without level names, ordered along the spine from the lowest up; and remarks on them.

    Args:
        corners_xy: (V, 4, 2) px in the order of the file, NaN where absent.
        visible: (V, 4) whether each corner is visible.
        first_slot: slot of the lowest vertebra.
        file: name of the file, for messages.
        places: index of each corner of `CORNERS` in the file, if the format has its own order of corners.
        mirrored_exports: whether the dataset contains mirrored films with unchanged corner names. Left and right are
            then exchanged on labels that fit only that way.

    Raises:
        FileError: a vertebra without any corner, which cannot be ordered; or more vertebrae than levels.
    """
    if np.isnan(corners_xy[..., 0]).all(axis=1).any():
        raise FileError(file, "a vertebra has no visible corner")
    if first_slot + len(corners_xy) > MAX_SLOTS:
        levels = f"{MAX_SLOTS - first_slot} levels, {LEVELS[first_slot]} to {LEVELS[-1]}"
        raise FileError(file, f"{len(corners_xy)} vertebrae, but there are {levels}: remove those that are none")
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
    """Vertebrae of a label that names every level, from the lowest up; and remarks on them.

    Raises:
        FileError: two vertebrae of the same level.
    """
    if duplicates := [slot for slot, count in Counter(slots).items() if count > 1]:
        raise FileError(file, f"two vertebrae are labelled {LEVELS[duplicates[0]]}")
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
    stated_source: str | None = None,
) -> tuple[tuple[Vertebra, ...], str, list[Remark]]:
    """Vertebrae by the levels that a file names, or else by the usual assumption about the lowest one.

    Args:
        slots: named level of each vertebra, or None.
        places: index of each corner of `CORNERS` in the file, if the format has its own order of corners.
        stated_source: the file's own `levels_from`, such as an assumption made before an export.

    Returns:
        Vertebrae from the lowest up, the value of `Film.levels_from`, and remarks.

    Raises:
        FileError: only some vertebrae have a level; `stated_source` contradicts them; or as `vertebrae_by_level` and
            `vertebrae_along_spine`.
    """
    levels = [slot for slot in slots if slot is not None]
    if len(levels) == len(slots):
        vertebrae, remarks = vertebrae_by_level(corners_xy, visible, levels, file, places)
        return vertebrae, stated_source or LEVELS_LABELLED, remarks
    if levels:
        raise FileError(file, f"{len(slots) - len(levels)} of {len(slots)} vertebrae have no level: name all or none")
    if stated_source == LEVELS_LABELLED:
        raise FileError(file, "levels_from says that the label names the levels, but its vertebrae have none")
    levels_from = stated_source or (LOWEST_IS_L5 if facing == Facing.NONE else LOWEST_IS_S1)
    first = 1 if levels_from == LOWEST_IS_L5 else 0
    vertebrae, remarks = vertebrae_along_spine(corners_xy, visible, first, file, places)
    return vertebrae, levels_from, remarks


def make_vertebrae(corners_xy: FloatArray, visible: Visible, slots: Sequence[int]) -> tuple[Vertebra, ...]:
    """Vertebrae from (V, 4, 2) corners that are ordered from the sacrum up, unchanged."""
    return tuple(Vertebra(slot, quad, mask) for slot, quad, mask in zip(slots, corners_xy, visible, strict=True))


def label_remarks(vertebrae: Sequence[Vertebra], places: Sequence[int] | None = None) -> list[Remark]:
    """Remarks on faulty vertebrae: corners in another order, impossible outlines, bodies listed twice.

    Args:
        vertebrae: from the sacrum up.
        places: index of each corner of `CORNERS` in the file, if the format has its own order of corners.
    """
    faults = outline_faults(vertebrae)
    remarks = [Remark(f"{_in_file(fault, places)}; corners kept as given") for fault in faults]
    if any(fault.whole for fault in faults):
        return remarks
    impossible = {slot for fault in faults for slot in fault.slots}
    return remarks + [Remark(str(overlap)) for overlap in overlaps(vertebrae, impossible)]


def slot_range_of(films: Iterable[Film], at_least: int = 10) -> SlotRange:
    """Slots of custom films: S1 and up, or L5 and up if all are AP films without a sacrum."""
    labelled = [film for film in films if film.vertebrae]
    used = [v.slot for film in labelled for v in film.vertebrae or ()]
    frontal = bool(used) and min(used) > 0 and all(film.facing == Facing.NONE for film in labelled)
    first = 1 if frontal else 0
    count = max(used, default=0) - first + 1
    return SlotRange(first, min(MAX_SLOTS, count if frontal else max(at_least, count)))


def _in_file(fault: OutlineFault, places: Sequence[int] | None) -> str:
    """The fault as text, with the actual corners of a whole label in the order of the file."""
    if fault.order is None or places is None:
        return str(fault)
    actual = [CORNERS[fault.order[corner]] for corner in np.argsort(places)]
    return (
        f"the whole label has its corners in another order (of most bodies, {fault.reason}); the file lists them as "
        f"{', '.join(actual)}"
    )


def _corner_name(name: str) -> str:
    words = re.split(r"[\s_-]+", name.strip().lower())
    return _SHORT.get(words[0], "_".join(_SIDES.get(word, word) for word in words))
