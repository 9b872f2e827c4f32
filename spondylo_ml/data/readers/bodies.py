"""From corners in a file to vertebrae: levels, order, mirrored labels, bodies that are impossible."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.data.quadrilateral import fault, require_inside, signed_area_px2, toward_head
from spondylo_ml.errors import DataError, FileError
from spondylo_ml.landmarks import CORNERS, LEVELS, MIRRORED_CORNERS, Facing, Film, FloatArray, SlotRange, Vertebra

Visible = NDArray[np.bool_]

LOWEST_IS_S1 = "assumed: the lowest labelled vertebra is S1"
LOWEST_IS_L5 = "assumed: the lowest labelled vertebra is L5, on an AP film"
EXCHANGED = "left and right corners exchanged: the labels are those of a mirrored film"
MAX_SLOTS = 24

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
    try:
        require_inside(corners_xy, size_hw)
    except DataError as error:
        raise FileError(file, str(error)) from None


def from_sacrum(
    corners_xy: FloatArray, visible: Visible, first_slot: int, file: str
) -> tuple[tuple[Vertebra, ...], list[str]]:
    """Vertebrae of a label without levels, from the lowest up, and what had to be changed or set aside for it.

    Raises:
        FileError: a vertebra without any corner, so that its place among the others is unknown.
    """
    if np.isnan(corners_xy[..., 0]).all(axis=1).any():
        raise FileError(file, "a vertebra has no visible corner")
    notes = []
    heights = np.nanmean(corners_xy[..., 1], axis=1)
    order = np.argsort(-heights, kind="stable")
    if (np.diff(heights) < 0).any():
        notes.append("vertebrae not listed head to tail: reordered by height on the film")
    slots = range(first_slot, first_slot + len(order))
    vertebrae, reasons = _facing_right_way(corners_xy[order], visible[order], slots)
    return vertebrae, notes + reasons


def by_level(
    corners_xy: FloatArray, visible: Visible, slots: Sequence[int], file: str
) -> tuple[tuple[Vertebra, ...], list[str]]:
    """Vertebrae of a label that names each level, from the lowest up, and what had to be changed or set aside.

    Raises:
        FileError: two vertebrae of one level.
    """
    if twice := [slot for slot, count in Counter(slots).items() if count > 1]:
        raise FileError(file, f"two vertebrae are labelled {LEVELS[twice[0]]}")
    order = np.argsort(slots)
    return _facing_right_way(corners_xy[order], visible[order], [slots[i] for i in order])


def levelled(
    corners_xy: FloatArray, visible: Visible, slots: Sequence[int | None], facing: Facing, file: str
) -> tuple[tuple[Vertebra, ...], str, list[str]]:
    """Vertebrae by the levels that a file names, or else by the usual assumption; where the levels come from; notes.

    Raises:
        FileError: some vertebrae have a level and some have none, or as `by_level` and `from_sacrum`.
    """
    named = [slot for slot in slots if slot is not None]
    if len(named) == len(slots):
        vertebrae, notes = by_level(corners_xy, visible, named, file)
        return vertebrae, "label", notes
    if named:
        raise FileError(file, f"{len(slots) - len(named)} of {len(slots)} vertebrae have no level: name all or none")
    first, why = (1, LOWEST_IS_L5) if facing == Facing.NONE else (0, LOWEST_IS_S1)
    vertebrae, notes = from_sacrum(corners_xy, visible, first, file)
    return vertebrae, why, notes


def usable_vertebrae(
    corners_xy: FloatArray, visible: Visible, slots: Sequence[int]
) -> tuple[tuple[Vertebra, ...], list[str]]:
    """Vertebrae from (V, 4, 2) corners ordered from the sacrum up, and what had to be set aside.

    A vertebra whose outline is impossible is known to be there, but its corners cannot be believed: it is kept with
    its corners absent, so that nothing is trained or judged on them.
    """
    known = ~np.isnan(corners_xy[..., 0]).all(axis=1)
    up = np.tile([0.0, -1.0], (len(corners_xy), 1))
    up[known] = toward_head(np.nanmean(corners_xy[known], axis=1))
    vertebrae, reasons = [], []
    for slot, quad, seen, direction in zip(slots, corners_xy, visible, up, strict=True):
        reason = _incomplete_fault(quad) if np.isnan(quad).any() else fault(quad, direction)
        vertebra = Vertebra(slot, np.full((4, 2), np.nan) if reason else quad, seen)
        vertebrae.append(vertebra)
        if reason:
            reasons.append(f"{vertebra.level} set aside: {reason}")
    return tuple(vertebrae), reasons


def slots_of(films: Iterable[Film], at_least: int = 10) -> SlotRange:
    """The slots of films of one's own: S1 and up, or L5 and up where all are AP films without a sacrum."""
    chosen = [film for film in films if film.vertebrae]
    used = [v.slot for film in chosen for v in film.vertebrae or ()]
    frontal = bool(used) and min(used) > 0 and all(film.facing == Facing.NONE for film in chosen)
    first = 1 if frontal else 0
    count = max(used, default=0) - first + 1
    return SlotRange(first, min(MAX_SLOTS, count if frontal else max(at_least, count)))


def _facing_right_way(
    corners_xy: FloatArray, visible: Visible, slots: Sequence[int]
) -> tuple[tuple[Vertebra, ...], list[str]]:
    """A mirrored export keeps its corner names, so that all its outlines run the wrong way round: exchanged here."""
    notes = []
    whole = ~np.isnan(corners_xy).any(axis=(1, 2))
    if whole.any() and all(signed_area_px2(quad) < 0 for quad in corners_xy[whole]):
        places = list(MIRRORED_CORNERS)
        corners_xy, visible = corners_xy[:, places], visible[:, places]
        notes.append(EXCHANGED)
    vertebrae, reasons = usable_vertebrae(corners_xy, visible, slots)
    return vertebrae, notes + reasons


def _incomplete_fault(corners_xy: FloatArray) -> str | None:
    points = corners_xy[~np.isnan(corners_xy[:, 0])]
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)[np.triu_indices(len(points), 1)]
    return "two of its corners coincide" if (apart < 1.0).any() else None


def _corner_name(name: str) -> str:
    words = re.split(r"[\s_-]+", name.strip().lower())
    return _SHORT.get(words[0], "_".join(_SIDES.get(word, word) for word in words))
